"""What a provider announces of a model's end, as far as it says so to programs: in its list of models, or by a header."""

from __future__ import annotations

import http.client
import logging
import urllib.error
import urllib.request
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from pilotage.spec.release import Release
from pilotage.upstream.keyed import BEARER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pilotage.evaluation.plan import Command
    from pilotage.spec.release import UpstreamAddress

SECONDS = 15.0
LARGEST = 16 << 20
FIELDS = ("deprecation", "expiration_date", "shutdown_date", "retirement_date", "retires_at", "sunset_date", "sunset")
"""Mistral and Azure OpenAI say `deprecation` (Azure a table with `inference`), OpenRouter `expiration_date`; the others are in
use elsewhere. Dates as ISO 8601 or as seconds since 1970."""

log = logging.getLogger(__name__)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A key goes to the address in the file, or nowhere."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def note_retirements(
    command: Command, environment: Callable[[str], str], use_case: str, releases: list[str]
) -> dict[str, int]:
    """Ask the provider of each release when its model ends, and put what it says on record; return that, 0 for none.

    Of a release whose provider cannot be asked, or says nothing that can be read, what was known stays.
    """
    route = command("route", {"use_case": use_case})["route"]
    found = {}
    for reference in releases:
        release = msgspec.convert(route["releases"][reference], Release)
        at = announced(release.upstream, release.model, environment)
        if at is not None:
            command("record_retirement", {"use_case": use_case, "release": reference, "at": at})
            found[reference] = at
    return found


def announced(address: UpstreamAddress, model: str, environment: Callable[[str], str]) -> int | None:
    """Return when a model is shut down (microseconds since 1970), 0 where nothing is said of it, None where nobody could be asked."""
    if not address.base_url or not model:
        return None
    found, header = _got(f"{address.base_url}/models/{quote(model)}", address, environment)
    if found is None:
        listed, header = _got(f"{address.base_url}/models", address, environment)
        rows = listed.get("data") if listed else None
        found = (
            next((row for row in rows if isinstance(row, dict) and row.get("id") == model), None)
            if isinstance(rows, list)
            else None
        )
    if found is None:
        return None
    return next(filter(None, (*(_moment(found.get(field)) for field in FIELDS), _sunset(header))), 0)


def _got(url: str, address: UpstreamAddress, environment: Callable[[str], str]) -> tuple[dict[str, Any] | None, str]:
    """Return the object at an address and its `sunset` header; None where there is none."""
    try:
        request = urllib.request.Request(url, headers=_headers(address, environment))  # noqa: S310 (checked in the file)
        with _opener.open(request, timeout=SECONDS) as answer:
            body = msgspec.json.decode(answer.read(LARGEST))
            return (body, answer.headers.get("sunset", "")) if isinstance(body, dict) else (None, "")
    except (OSError, http.client.HTTPException, ValueError) as fault:
        # Neither the address nor what was sent: both may be secrets.
        log.info("the list of models could not be had (%s)", getattr(fault, "code", type(fault).__name__))
        return None, ""


def _headers(address: UpstreamAddress, environment: Callable[[str], str]) -> Mapping[str, str]:
    key = environment(address.api_key_env).strip() if address.api_key_env else ""
    headers = {"accept": "application/json", "user-agent": "pilotage", **dict(address.headers)}
    if key:
        name, value = ("authorization", f"Bearer {key}") if address.auth == BEARER else (address.auth, key)
        headers[name] = value
    return headers


def _moment(value: object) -> int:
    """Return what a field says as microseconds since 1970; 0 where it says none."""
    if isinstance(value, dict):
        return _moment(value.get("inference"))
    try:
        if isinstance(value, bool) or value is None:
            return 0
        if isinstance(value, int | float):
            seconds = float(value)
        else:
            when = datetime.fromisoformat(str(value))
            seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
        return int(seconds * 1_000_000) if 0 < seconds < 253_402_300_800 else 0
    except (ValueError, OverflowError):
        return 0


def _sunset(header: str) -> int:
    """Return the date of a `Sunset` header (RFC 8594); 0 where there is none."""
    try:
        return int(parsedate_to_datetime(header).timestamp() * 1_000_000) if header else 0
    except (ValueError, OverflowError, TypeError):
        return 0
