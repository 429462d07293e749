"""The main job, to watch."""

from __future__ import annotations


def demo() -> None:
    """Watch one use case go from concept to production."""
    from pilotage.demo import road

    road.main()
