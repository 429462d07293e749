"""Where a connection leads: scheme, host and port."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, urlsplit

_PORTS = {"http": 80, "https": 443}
_PATH = "/%:@!$&'()*+,;=~?-._"
"""What stands in a path and query as it is."""


class Origin(NamedTuple):
    scheme: str
    host: str
    port: int

    @property
    def secure(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """Return what the `host` header says: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def split(url: str) -> tuple[Origin, str]:
    """Return (origin, path and query); raise ValueError for what is no http or https address."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("not an http or https address")
    host = parts.hostname
    if not host.isascii():
        host = host.encode("idna").decode()
    if any(character <= " " or character == "\x7f" for character in host):
        raise ValueError("not the name of a host")
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    return Origin(parts.scheme, host, parts.port or _PORTS[parts.scheme]), quote(path, safe=_PATH)
