"""Figures as Prometheus reads them: what the workers counted, added up."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pilotage.store.figures import Seen

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Family(NamedTuple):
    """`kind` is Prometheus' own, with two sorts of gauge: `gauge` is added up over workers, of `most` the greatest counts."""

    kind: str
    says: str
    bounds: tuple[float, ...] = ()

    @property
    def cells(self) -> int:
        return len(self.bounds) + 2 if self.bounds else 1


def text(workers: Sequence[Seen], families: Mapping[str, Family]) -> bytes:
    """Return what the workers counted, added up: a gauge over those that run, anything else over all there were."""
    sums: dict[str, dict[str, list[float]]] = {name: {} for name in families}
    for worker in workers:
        for series, counted in worker.series.items():
            name, _, labels = series.partition("{")
            family = families.get(name)
            if family is None or len(counted) != family.cells:
                continue
            if family.kind in ("gauge", "most") and not worker.alive:
                continue
            found = sums[name].setdefault(labels.removesuffix("}"), [0.0] * family.cells)
            if family.kind == "most":
                found[0] = max(found[0], counted[0])
            else:
                found[:] = [one + more for one, more in zip(found, counted, strict=True)]
    lines: list[str] = []
    for name, family in families.items():
        kind = "gauge" if family.kind == "most" else family.kind
        lines += [f"# HELP {name} {family.says}", f"# TYPE {name} {kind}"]
        for labels, cells in sorted(sums[name].items()):
            if any(cells) or not labels:
                lines += _lines(name, family, labels, cells)
    return ("\n".join(lines) + "\n").encode()


def _lines(name: str, family: Family, labels: str, cells: Sequence[float]) -> list[str]:
    if not family.bounds:
        return [f"{name}{{{labels}}} {_number(cells[0])}" if labels else f"{name} {_number(cells[0])}"]
    lines, total = [], 0.0
    for bound, count in zip((*map(_number, family.bounds), "+Inf"), cells, strict=False):
        total += count
        lines.append(f'{name}_bucket{{{labels},le="{bound}"}} {_number(total)}')
    return [
        *lines,
        f"{name}_sum{{{labels}}} {_number(cells[-1])}",
        f"{name}_count{{{labels}}} {_number(total)}",
    ]


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.9g}"
