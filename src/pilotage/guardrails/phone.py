"""Phone numbers by the numbering plans of their countries: the precise mode, with the package phonenumbers."""

from __future__ import annotations


class Phones:
    """`regions` are those whose national form counts; a number with a + is checked by its own country's plan."""

    def __init__(self, regions: tuple[str, ...]) -> None:
        # Not installed unless the extra is.
        import phonenumbers

        self._library = phonenumbers
        self._regions = regions

    def right(self, text: str) -> bool:
        for region in (None,) if text.startswith("+") else self._regions:
            try:
                number = self._library.parse(text, region)
            except self._library.NumberParseException:
                continue
            if self._library.is_valid_number(number):
                return True
        return False
