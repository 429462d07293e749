"""The stage on which the demo plays: a copy of the use case's folder, changed only in what has to be."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pilotage.demo.articles import read_articles
from pilotage.demo.judge import read_facts
from pilotage.demo.questions import build
from pilotage.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

STAND_IN = "http://127.0.0.1:8790/v1"
_MODEL = re.compile(r'^model = "stand-in-[a-z]+"$', re.MULTILINE)


class Provider(msgspec.Struct, frozen=True):
    """A real provider in the stand-in's place; empty: the stand-in. The key stays in the environment."""

    base_url: str = ""
    model: str = ""
    api_key_env: str = ""


def example_folder() -> Path:
    """Return the support example: beside this module where the package is installed, else in the source tree."""
    beside = Path(__file__).with_name("support")
    found = beside if beside.is_dir() else Path(__file__).parents[3] / "examples" / "support"
    if not (found / "usecase.toml").is_file():
        raise NotFound(f"the demo's example is not at {found}", hint="reinstall Pilotage, or run from a checkout")
    return found


class Folder:
    """A use case's folder of the demo's own, in a temporary directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path / "usecase.toml"

    @classmethod
    def make(cls, path: Path, questions: Path | None) -> tuple[Folder, str]:
        """Copy the example, or build a folder from a file of questions; return it and a sentence on it."""
        example = example_folder()
        if questions is not None:
            path.mkdir(parents=True)
            return cls(path), build(questions, path, example)
        shutil.copytree(example, path, ignore=shutil.ignore_patterns("__pycache__"))
        folder = cls(path)
        articles = len(list((path / "knowledge").glob("*.md")))
        return folder, f"the support example: {articles} help articles, {len(folder.live):,} live questions"

    @property
    def name(self) -> str:
        return re.search(r'^name = "(.+)"$', self._text(), re.MULTILINE)[1]  # type: ignore[index]

    @property
    def files(self) -> dict[str, bytes]:
        """Return what is registered: everything but the questions, which are the customers'."""
        return {
            path.relative_to(self.path).as_posix(): path.read_bytes()
            for path in sorted(self.path.rglob("*"))
            if path.is_file() and "questions" not in path.relative_to(self.path).parts
        }

    @property
    def live_file(self) -> Path:
        return self.path / "questions" / "live.jsonl"

    @property
    def live(self) -> Sequence[str]:
        return [facts.text for facts in read_facts(self.live_file)]

    def serve_at(self, base_url: str) -> None:
        """Say where the stand-in listens."""
        self._change(f'base_url = "{STAND_IN}"', f'base_url = "{base_url}"')

    def use(self, provider: Provider) -> None:
        """Put a real provider in the stand-in's place.

        The stand-in reads the articles itself; a real model gets them in its prompt, and the bold variant gets none,
        so that there is still one that is worse.
        """
        key = f'\napi_key_env = "{provider.api_key_env}"' if provider.api_key_env else ""
        self._change(f'base_url = "{STAND_IN}"', f'base_url = "{provider.base_url}"{key}')
        text = _MODEL.sub(f'model = "{provider.model}"', self._text())
        before, bold, after = text.partition("[variants.assistant-bold]")
        after = after.replace("prompts/assistant.j2", "prompts/assistant-bold.j2", 1)
        self._file.write_text(before + bold + after, encoding="utf-8")
        prompt = self.path / "prompts" / "assistant.j2"
        shutil.copy(prompt, prompt.with_name("assistant-bold.j2"))
        articles = "\n".join(
            f"\n# {article.title}\n{' '.join(article.sentences)}" for article in read_articles(self.path / "knowledge")
        )
        with prompt.open("a", encoding="utf-8") as file:
            file.write(f"\nThe help articles:\n{{% raw %}}{articles}\n{{% endraw %}}\n")

    def nominate_bold(self) -> None:
        """Make the bad variant the candidate, as a person with an editor would."""
        self._change('candidate = "assistant"', 'candidate = "assistant-bold"')

    def loosen_gate(self) -> None:
        """Let any difference in quality through the gate into staging, as somebody in a hurry might."""
        self._change("[gates.staging]\n", "[gates.staging]\nquality_difference = { at_least = -1.0 }\n")

    def _text(self) -> str:
        return self._file.read_text(encoding="utf-8")

    def _change(self, old: str, new: str) -> None:
        text = self._text()
        if text.count(old) != 1:
            raise AssertionError(f"{old!r} stands {text.count(old)} times in {self._file}")
        self._file.write_text(text.replace(old, new), encoding="utf-8")
