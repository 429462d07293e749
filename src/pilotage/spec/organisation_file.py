"""From `organisation.toml` to the organisation's rules, or to every fault at once, each with its line."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import ValidationError

from pilotage.errors import FaultyFile
from pilotage.spec.fault import Fault
from pilotage.spec.folder import TOML_LIMIT, parse
from pilotage.spec.load import unparsable
from pilotage.spec.organisation import Organisation
from pilotage.spec.position import Positions
from pilotage.spec.wording import explain

POLICY = "organisation.toml"


class Policy(NamedTuple):
    """The rules, and where each stands."""

    organisation: Organisation
    where: Positions


def read(data: bytes) -> Policy:
    """Return the rules of a file; raise FaultyFile with every fault."""
    if len(data) > TOML_LIMIT:
        raise FaultyFile([f"{POLICY}:1: is longer than {TOML_LIMIT:,} bytes"], outcome="no rule is in force by it")
    try:
        tables = parse(data)
    except ValueError as error:
        raise FaultyFile([str(unparsable(data, error, POLICY))], outcome="no rule is in force by it") from None
    where = Positions(data.decode("utf-8-sig"))
    try:
        return Policy(Organisation.model_validate(tables), where)
    except ValidationError as error:
        faults = {
            Fault(0, POLICY, where.line(path), says)
            for detail in error.errors(include_url=False)
            for path, says in explain(detail, Organisation)
        }
        raise FaultyFile([str(fault) for fault in sorted(faults)], outcome="no rule is in force by it") from None
