"""Where the keys of a TOML text stand, so that a fault can name its line.

The scanner reads any text, valid or not, once from left to right, and stops understanding where a TOML reader would
refuse; what it found until then stays. It nests no deeper than `TOO_DEEP`, so that nothing after it needs to.
"""

from __future__ import annotations

import re
import tomllib

TOO_DEEP = 32
_SPACE = re.compile(r"[ \t]*")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_REST = re.compile(r"[^\n]*\n?")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_QUOTED = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\[\s\S]|"(?!""))*"""(?:"{0,2})'
    r"|'''(?:[^']|'(?!''))*'''(?:'{0,2})"
    r"|" + _QUOTED.pattern
)
_SCALAR = re.compile(r"[^,\]}#\n]+")

KeyPath = tuple[str | int, ...]


class _Lost(Exception):
    """The text is not TOML from here on."""


class Positions:
    """Line numbers (from 1) by key path, such as `("variants", "assistant", "knowledge", 0)`.

    `too_deep` is the first line that nests deeper than `TOO_DEEP`, 0 where none does.
    """

    def __init__(self, text: str) -> None:
        self.too_deep = 0
        self._lines: dict[KeyPath, int] = {}
        self._text = text
        self._at = 0
        self._counted = 0
        self._line_number = 1
        self._arrays: dict[KeyPath, int] = {}
        self._table: KeyPath = ()
        self._scan()

    def line(self, path: KeyPath) -> int:
        """Return the line on which this key stands, or the nearest thing around it; 1 for the whole file."""
        while path:
            found = self._lines.get(path)
            if found is not None:
                return found
            path = path[:-1]
        return 1

    def _scan(self) -> None:
        self._take(_BLANK)
        while self._at < len(self._text):
            try:
                if self._text.startswith("[", self._at):
                    self._header()
                else:
                    self._pair(self._table, 0)
            except _Lost:
                if self.too_deep:
                    return
            self._take(_REST)
            self._take(_BLANK)

    def _take(self, pattern: re.Pattern[str]) -> str:
        """Consume what the pattern matches here; an empty string where it does not."""
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match[0]

    def _here(self) -> int:
        """Return the present line, counting only what was passed since the last call."""
        self._line_number += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line_number

    def _sign(self, sign: str) -> bool:
        if not self._text.startswith(sign, self._at):
            return False
        self._at += len(sign)
        return True

    def _mark(self, path: KeyPath) -> KeyPath:
        self._lines.setdefault(path, self._here())
        return path

    def _deeper(self, depth: int) -> int:
        if depth >= TOO_DEEP:
            self.too_deep = self._here()
            raise _Lost
        return depth + 1

    def _keys(self, depth: int) -> list[str]:
        """Read `a."b".c`."""
        keys = []
        while True:
            depth = self._deeper(depth)
            self._take(_SPACE)
            keys.append(self._take(_BARE) or _unquoted(self._take(_QUOTED)))
            self._take(_SPACE)
            if not self._sign("."):
                return keys

    def _header(self) -> None:
        many = self._sign("[[")
        if not many:
            self._sign("[")
        *outer, last = self._keys(0)
        path: KeyPath = ()
        for key in outer:
            path = self._mark((*path, key))
            if path in self._arrays:
                path = (*path, self._arrays[path])
        path = self._mark((*path, last))
        if many:
            self._arrays[path] = self._arrays.get(path, -1) + 1
            path = self._mark((*path, self._arrays[path]))
        self._table = path

    def _pair(self, path: KeyPath, depth: int) -> None:
        """Read `key = value` within the table or inline table at `path`."""
        for key in self._keys(depth):
            path = self._mark((*path, key))
        if not self._sign("="):
            raise _Lost
        self._take(_SPACE)
        self._value(path, depth + 1)

    def _value(self, path: KeyPath, depth: int) -> None:
        if self._sign("["):
            depth = self._deeper(depth)
            index = 0
            self._take(_BLANK)
            while not self._sign("]"):
                self._mark((*path, index))
                self._value((*path, index), depth)
                self._take(_BLANK)
                if not self._sign(",") and not self._text.startswith("]", self._at):
                    raise _Lost
                self._take(_BLANK)
                index += 1
        elif self._sign("{"):
            depth = self._deeper(depth)
            self._take(_BLANK)
            while not self._sign("}"):
                self._pair(path, depth)
                self._take(_BLANK)
                if not self._sign(",") and not self._text.startswith("}", self._at):
                    raise _Lost
                self._take(_BLANK)
        elif not self._take(_STRING) and not self._take(_SCALAR):
            raise _Lost


def _unquoted(key: str) -> str:
    """Return what a quoted key says."""
    if not key:
        raise _Lost
    try:
        return str(tomllib.loads(f"key = {key}")["key"])
    except ValueError:
        raise _Lost from None
