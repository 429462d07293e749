"""Putting the stand-in into providers' places: the route that a staging copy serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.errors import NotMeasured
from pilotage.spec.route import Pace

if TYPE_CHECKING:
    from pilotage.spec.release import Release, UpstreamAddress
    from pilotage.spec.route import Route


def pinned_only(route: Route, *, budget: bool) -> Route:
    """Return the route without rollout, shadow traffic and kept texts: only pinned releases are asked of it.

    Without limits by key and unit too: all of a replay comes with one key, and a minute of it is much of a day. With `budget` it
    has what the file lets a day, a month and a unit cost, of which nothing is spent yet, and its worker has all of that at once:
    a worker that has served for a while has its share, and so must one that meets the peak as its first request.
    """
    money = msgspec.structs.replace(route.money, whole=True) if budget and route.money is not None else None
    limits = msgspec.structs.replace(route.limits, key=Pace(), unit=Pace())
    return msgspec.structs.replace(
        route, allocation=None, shadow=None, retention="none", retired=False, limits=limits, money=money
    )


def at_stand_in(route: Route, base: str, candidate: str) -> tuple[Route, str]:
    """Return the route with every provider's address replaced by a place below `base`, and the candidate's place.

    Names of releases stay what they are. Empty: the candidate asks no provider. Raise NotMeasured where a pipeline takes
    part, whose own calls nobody can redirect.
    """
    places: dict[tuple[str, str], str] = {}
    releases: dict[str, Release] = {}
    needed = {candidate, *route.releases[candidate].fallbacks}
    for reference, release in route.releases.items():
        address = release.upstream
        if address.kind == "callable" and reference in needed:
            raise NotMeasured(
                f"{reference} is a pipeline, and nobody can take the place of the providers that it asks itself",
                hint="rehearse it at its real providers: leave --stand-in and --faults out",
            )
        if address.kind in ("search", "callable"):
            releases[reference] = release
            continue
        place = places.setdefault((address.base_url, address.provider), f"p{len(places)}")
        releases[reference] = msgspec.structs.replace(release, upstream=_there(address, f"{base}/{place}/v1"))
    address = route.releases[candidate].upstream
    return msgspec.structs.replace(route, releases=releases), places.get((address.base_url, address.provider), "")


def _there(address: UpstreamAddress, base_url: str) -> UpstreamAddress:
    """Return an address with the same timeouts, retries and bounds, where nobody needs a key."""
    return msgspec.structs.replace(
        address, kind="openai", base_url=base_url, api_key_env="", auth="bearer", headers=(), renames=(), drops=()
    )
