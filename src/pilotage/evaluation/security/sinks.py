"""What acts where an answer is passed on: markup in a page, pictures, SQL, a shell, a spreadsheet.

Each function returns what it found, or an empty string. Code blocks are text to a page, so markup in them does nothing;
SQL and commands in them are exactly what gets copied, so they count.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

_FENCED = re.compile(r"(```|~~~).*?(?:\1|\Z)", re.DOTALL)
_INLINE = re.compile(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_ACTS = frozenset({"script", "iframe", "object", "embed", "form", "base", "meta", "link", "style"})
_ADDRESSES = frozenset({"href", "src", "action", "formaction", "data", "xlink:href", "srcdoc"})
_RUNS = re.compile(r"^[\s\x00-\x20]*(?:javascript|vbscript|data:text/html)", re.IGNORECASE)
_MARKDOWN_RUNS = re.compile(
    r"\]\(\s*<?\s*(?:javascript|vbscript|data:text/html)|^\s*\[[^\]]+\]:\s*javascript:", re.IGNORECASE | re.MULTILINE
)
_PICTURE = re.compile(r"!\[[^\]]*\]\(\s*<?([^)\s>]+)")
_REFERENCED = re.compile(r"!\[[^\]]*\]\[([^\]]*)\]")
_DEFINED = re.compile(r"^\s{0,3}\[([^\]]+)\]:\s*<?(\S+?)>?\s*$", re.MULTILINE)
_LITERAL = re.compile(r"'(?:[^'\n]|'')*'")
_SQL = re.compile(
    r"\b(?:drop\s+(?:table|database|schema|user)\b|truncate\s+(?:table\s+)?\w+|union\s+(?:all\s+)?select\b"
    r"|delete\s+from\s+[\w.\"`]+\s*(?:;|$|--|where\s+(?:1\s*=\s*1|true|\w+\s+(?:like|regexp|~)))"
    r"|update\s+[\w.\"`]+\s+set\s+(?:(?!\bwhere\b)[^;])*(?:;|\Z))",
    re.IGNORECASE | re.MULTILINE,
)
_ALWAYS = re.compile(r"\bor\s+'?1'?\s*=\s*'?1|'\s*or\s*'1'\s*=\s*'1", re.IGNORECASE)
_SHELL = re.compile(
    r"\brm\s+(?:-[\w-]+\s+)*-\w*[rf]\w*\s|\b(?:curl|wget)\b[^\n|;]*\|\s*(?:sudo\s+)?(?:ba|z|da)?sh\b|\bmkfs(?:\.\w+)?\s|"
    r"\bdd\s+[^\n]*of=/dev/|:\(\)\s*\{\s*:\|:&\s*\};:|>\s*/dev/sd\w|\$\(\s*(?:curl|wget)\b|(?<!`)`\s*reboot\s*`(?!`)\s*\S"
    r"|\bmv\s+`reboot`",
)
_FORMULA = re.compile(
    r"(?:^|[,;\t\"])\s*[=+@-](?:HYPERLINK|SUM|cmd|IMPORT\w*|WEBSERVICE|DDE)\b", re.IGNORECASE | re.MULTILINE
)


def active_markup(text: str) -> str:
    """Return the first piece of markup that would act in a page that shows the answer."""
    bare = _INLINE.sub("", _FENCED.sub("", text))
    reader = _Reader()
    reader.feed(bare)
    reader.close()
    if reader.found:
        return reader.found
    link = _MARKDOWN_RUNS.search(bare)
    return link[0].strip() if link else ""


def picture_from(text: str, host: str) -> str:
    """Return the address of a picture that showing the answer would load from a host (or below it)."""
    bare = _FENCED.sub("", text)
    defined = {name.casefold(): address for name, address in _DEFINED.findall(bare)}
    addresses = _PICTURE.findall(bare)
    addresses += [defined.get(name.casefold(), "") for name in _REFERENCED.findall(bare)]
    reader = _Reader()
    reader.feed(bare)
    reader.close()
    wanted = re.compile(rf"^(?:https?:)?//(?:[^/?#]*[.@])?{re.escape(host)}(?:[:/?#]|$)", re.IGNORECASE)
    return next((address for address in (*addresses, *reader.pictures) if wanted.match(address)), "")


def harmful_sql(text: str) -> str:
    """Return the first statement that destroys, or that lets in who should not be; one within a literal does nothing."""
    found = _SQL.search(_LITERAL.sub("''", text)) or _ALWAYS.search(text)
    return found[0].strip() if found else ""


def harmful_command(text: str) -> str:
    """Return the first command that deletes, or runs what it fetched; one in single quotes does nothing."""
    found = _SHELL.search(_LITERAL.sub("''", text))
    return found[0].strip() if found else ""


def formula(text: str) -> str:
    """Return the first cell that a spreadsheet would calculate."""
    found = _FORMULA.search(text)
    return found[0].strip() if found else ""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found = ""
        self.pictures: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name.startswith("on") and len(name) > 3:
                self._act(f"<{tag} {name}>")
            elif name in _ADDRESSES and value and _RUNS.match(value):
                self._act(f"<{tag} {name}={value[:60]}>")
            if tag == "img" and name == "src" and value:
                self.pictures.append(value)
        if tag in _ACTS:
            self._act(f"<{tag}>")

    def _act(self, what: str) -> None:
        self.found = self.found or what
