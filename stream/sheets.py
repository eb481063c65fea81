"""Words for tables that people open in a spreadsheet."""

from typing import Final

FORMULA: Final = ("=", "+", "-", "@")


def inert(text: str) -> str:
    """The text, behind an apostrophe where a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text
