"""Cases from elsewhere: written for another tool, or made of what was asked in production."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pilotage.cli.files import write_text
from pilotage.cli.options import Json, Name, Server, Workspace, commander, given
from pilotage.cli.output import say, show_json, table, when
from pilotage.errors import Refused

app = typer.Typer(help="Evaluation cases from elsewhere.", no_args_is_help=True)


@app.callback()
def cases() -> None:
    """Take over cases that were written for another tool, or made of what was asked in production."""


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="promptfoo's YAML, with its tests.", show_default=False)],
    *,
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE.jsonl", help="Where to write the cases.", show_default=False)
    ],
    question: Annotated[
        str,
        typer.Option("--question", metavar="NAME", help="The variable that is asked.", show_default=False),
    ] = "",
) -> None:
    """Write promptfoo's tests as cases. What has no counterpart, such as a JavaScript assertion, is refused by its name."""
    from pilotage.evaluation.promptfoo import cases_of, written

    try:
        data = file.read_bytes()
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}") from None
    found = cases_of(file.name, data, question=question)
    if output.exists():
        raise Refused(f"{output} is there already", hint="name another file: nothing is overwritten")
    try:
        output.write_text(written(found), encoding="utf-8")
    except OSError as error:
        raise Refused(
            f"{output} cannot be written: {error.strerror}", hint="name a file in a folder that exists"
        ) from None
    say(f"{len(found)} cases are in {output}; name it in usecase.toml under [evaluation] cases.")


@app.command()
def failures(
    name: Name,
    *,
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE.jsonl", help="Where to write the cases.", show_default=False)
    ],
    most: Annotated[int, typer.Option("--most", min=1, max=500, help="As many as this, the newest.")] = 50,
    workspace: Workspace = None,
    server: Server = "",
) -> None:
    """Write the newest questions whose answers failed, as users told, as cases. It takes the role admin.

    Personal data is redacted, and texts are there only where `[data] retention` keeps them. What a right answer holds, you add:
    without `required` or the like, a case is asked and scored for nothing.
    """
    if output.exists():
        raise Refused(f"{output} is there already", hint="name another file: nothing is overwritten")
    result = commander(workspace, server).run("failures", {"use_case": name, "most": most})
    found = result["failures"]
    gone = f"; of {result['gone']} more no text is kept" if result["gone"] else ""
    if not found:
        say(f"No question of {name} is known to have failed{gone}.")
        return
    lines = (
        {"id": f"failure-{one['inference']}", "text": one["question"], "scenario": one["metric"], "kind": "failure"}
        for one in found
    )
    try:
        output.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise Refused(
            f"{output} cannot be written: {error.strerror}", hint="name a file in a folder that exists"
        ) from None
    say(
        f"{len(found)} cases are in {output}{gone}. Add what a right answer holds, and name it under [evaluation] cases."
    )


Case = Annotated[str, typer.Argument(metavar="CASE", help="The proposed case's id.", show_default=False)]


@app.command("list")
def list_(name: Name, *, workspace: Workspace = None, server: Server = "", as_json: Json = False) -> None:
    """List the cases that were made of what was asked in production and wait to be taken. It takes the role admin."""
    result = commander(workspace, server).run("cases", {"use_case": name})
    if as_json:
        show_json(result)
    elif not result["cases"]:
        say(f"No case of {name} waits to be taken.")
    else:
        table(
            ("at", "case", "question", "by"),
            ((when(one["at"]), one["id"], _asks(one["case"])[:80], one["actor"]) for one in result["cases"]),
        )


@app.command()
def propose(
    name: Name,
    inference: Annotated[str, typer.Argument(metavar="INFERENCE", help="An inference's id.", show_default=False)],
    *,
    required: Annotated[
        list[str] | None,
        typer.Option(
            "--required",
            metavar="TEXT",
            help="A right answer holds this; alternatives with | between.",
            show_default=False,
        ),
    ] = None,
    forbidden: Annotated[
        list[str] | None,
        typer.Option("--forbidden", metavar="TEXT", help="A right answer does not hold this.", show_default=False),
    ] = None,
    question: Annotated[
        str,
        typer.Option(
            "--question", metavar="TEXT", help="In place of what was asked, if that is kept.", show_default=False
        ),
    ] = "",
    scenario: Annotated[
        str, typer.Option("--scenario", metavar="WORD", help="What it is about.", show_default=False)
    ] = "",
    note: Annotated[
        str, typer.Option("--note", metavar="TEXT", help="Why; the ledger keeps it apart.", show_default=False)
    ] = "",
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Make a case of an inference, for the team to take with `cases export`. Personal data is redacted. It takes the role admin."""
    run = commander(workspace, server)
    asked: dict[str, Any] = {"text": question}
    if not question:
        found = run.run("inference", {"use_case": name, "inference": inference, "texts": True})
        from pilotage.decision.traits import asked_as_case

        asked = asked_as_case(found["turns"])
        if not asked:
            raise Refused(f"of inference {inference} no text is kept", hint="write what is to be asked with --question")
    case = {
        **asked,
        **given(scenario=scenario),
        "kind": "production",
        **({"required": [_alternatives(text) for text in required]} if required else {}),
        **({"forbidden": forbidden} if forbidden else {}),
    }
    result = run.run("case_propose", given(use_case=name, inference=inference, case=case, note=note))
    if as_json:
        show_json(result)
    else:
        say(f"{result['id']} waits to be taken: `pilotage cases export {name} --output FILE.jsonl`")


@app.command()
def export(
    name: Name,
    *,
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE.jsonl", help="Where to write the cases.", show_default=False)
    ],
    workspace: Workspace = None,
    server: Server = "",
) -> None:
    """Write the cases that wait into a file of the team's own folder; then they are gone from the workspace. It takes the role admin."""
    if output.exists():
        raise Refused(f"{output} is there already", hint="name another file: nothing is overwritten")
    run = commander(workspace, server)
    found = run.run("cases", {"use_case": name})["cases"]
    if not found:
        say(f"No case of {name} waits to be taken.")
        return
    write_text(output, "".join(json.dumps(one["case"], ensure_ascii=False) + "\n" for one in found))
    # Only now that they lie in the folder.
    run.run("cases_taken", {"use_case": name, "cases": [one["id"] for one in found]})
    say(f"{len(found)} cases are in {output}; name it under [evaluation] cases, look at it, and commit it.")


@app.command()
def drop(
    name: Name,
    case: Case,
    *,
    note: Annotated[
        str, typer.Option("--note", metavar="TEXT", help="Why; the ledger keeps it apart.", show_default=False)
    ] = "",
    workspace: Workspace = None,
    server: Server = "",
) -> None:
    """Destroy a proposed case. It takes the role admin."""
    commander(workspace, server).run("case_drop", given(use_case=name, case=case, note=note))
    say(f"{case} is gone.")


def _asks(case: dict[str, Any]) -> str:
    said = [str(turn["content"]) for turn in case.get("messages", ()) if turn["role"] == "user"]
    return " ".join(str(case.get("text") or (said[-1] if said else "")).split())


def _alternatives(text: str) -> list[str]:
    return [one.strip() for one in text.split("|") if one.strip()]
