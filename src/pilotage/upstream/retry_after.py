"""`Retry-After`, as providers send it (RFC 9110, section 10.2.3)."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

_LONGEST = 86_400.0


def seconds(value: str) -> float:
    """Return the seconds from now, 0 where the value says nothing that can be read; at most a day."""
    text = value.strip()
    try:
        if text.replace(".", "", 1).isdecimal():
            found = float(text)
        else:
            found = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(found, 0.0), _LONGEST)
