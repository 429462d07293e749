"""A flame graph as a plain picture, from folded stacks such as `py-spy record --format raw` writes.

    py-spy record --format raw --function --rate 1000 --duration 5 --output stacks.txt --pid PID
    python bench/flame.py stacks.txt > docs/pictures/gateway-flame.svg

Only the event loop's thread is shown, from the loop upwards; a box's width is its share of that thread's time.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from html import escape
from pathlib import Path

ROOT = "Runner.run"
WIDTH, ROW, SMALLEST = 1200, 18, 1.0
COLOURS = {"gateway": "#e8a33d", "serving": "#e4764b", "upstream": "#c9555f", "store": "#8a6fae", "other": "#9aa5ad"}


def folded(lines: list[str]) -> Counter[tuple[str, ...]]:
    """Return how often each stack was seen, its functions without line numbers."""
    stacks: Counter[tuple[str, ...]] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = [re.sub(r":\d+\)$", ")", frame) for frame in stack.split(";")]
        start = next((n for n, frame in enumerate(frames) if frame.startswith(ROOT)), None)
        if start is not None:
            stacks[tuple(frames[start:])] += int(count)
    return stacks


def boxes(stacks: Counter[tuple[str, ...]]) -> list[tuple[int, float, float, str, int]]:
    """Return (depth, left, width, frame, samples) of every box that is wide enough to be seen."""
    total = sum(stacks.values())
    found = []

    def place(prefix: tuple[str, ...], members: list[tuple[tuple[str, ...], int]], left: float) -> None:
        depth = len(prefix)
        frames: dict[str, list[tuple[tuple[str, ...], int]]] = {}
        for stack, count in members:
            if len(stack) > depth:
                frames.setdefault(stack[depth], []).append((stack, count))
        for frame, inner in sorted(frames.items(), key=lambda item: -sum(count for _, count in item[1])):
            samples = sum(count for _, count in inner)
            width = samples / total * WIDTH
            if width >= SMALLEST:
                found.append((depth, left, width, frame, samples))
                place((*prefix, frame), inner, left)
            left += width

    place((), list(stacks.items()), 0.0)
    return found


def colour(frame: str) -> str:
    room = re.search(r"pilotage/(\w+)/", frame)
    return COLOURS.get(room[1] if room else "other", COLOURS["other"])


def picture(stacks: Counter[tuple[str, ...]]) -> str:
    total, found = sum(stacks.values()), boxes(stacks)
    height = (max(depth for depth, *_ in found) + 1) * ROW
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for depth, left, width, frame, samples in found:
        top = height - (depth + 1) * ROW
        name = frame.split(" (")[0]
        share = f"{samples / total * 100:.1f} %"
        parts.append(f"<g><title>{escape(frame)}: {share}</title>")
        parts.append(
            f'<rect x="{left:.1f}" y="{top}" width="{max(width - 0.5, 0.5):.1f}" height="{ROW - 1}" rx="1"'
            f' fill="{colour(frame)}"/>'
        )
        label = f"{name} {share}"
        room = int(width / 6)
        if room >= 5:
            shown = label if len(label) <= room else name[:room]
            parts.append(f'<text x="{left + 3:.1f}" y="{top + 12}" fill="#1c1c1c">{escape(shown)}</text>')
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    print(picture(folded(Path(sys.argv[1]).read_text().splitlines())), end="")
