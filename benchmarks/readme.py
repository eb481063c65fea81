"""Tables of a Markdown file from measured figures.

Run: python -m hexlive.benchmarks.readme README.md FIGURES.json [MORE.json]. Of a suite that is in
several files, the last counts. Between the lines

    <!-- bench SUITE: COLUMN, COLUMN -->
    <!-- end of bench -->

goes the table of that suite with these columns, by their keys in the JSON, and where it is from.
"""

import json
import math
import re
import sys
from pathlib import Path
from typing import Any, Final

Document = dict[str, Any]
BLOCK: Final = re.compile(
    r"(<!-- bench (\w+): ([\w, ]+) -->\n).*?(<!-- end of bench -->)", re.DOTALL
)
SIGNIFICANT: Final = 3  # digits; more would not be the same tomorrow


class ReadmeError(ValueError):
    """A block asks for figures that are not there."""


def filled(text: str, document: Document) -> str:
    """The text with every block made anew.

    Raises
    ------
    ReadmeError
        A suite or a column is not among the figures.
    """

    def block(found: re.Match[str]) -> str:
        begin, suite, keys, end = found.groups()
        return begin + _table(document, suite, re.findall(r"\w+", keys)) + end

    return BLOCK.sub(block, text)


def together(paths: list[Path]) -> Document:
    """The figures of several files of one machine; of each suite those of the last file."""
    documents: list[Document] = [json.loads(path.read_text()) for path in paths]
    suites: Document = {}
    for document in documents:
        suites |= document["suites"]
    return documents[0] | {"suites": suites}


def _table(document: Document, suite: str, keys: list[str]) -> str:
    if suite not in document["suites"]:
        raise ReadmeError(f"The figures have no suite {suite}.")
    record, machine = document["suites"][suite], document["machine"]
    columns = {column["key"]: column for column in record["columns"]}
    if absent := [key for key in keys if key not in columns]:
        raise ReadmeError(f"The suite {suite} has no column {absent[0]}, but {', '.join(columns)}.")
    chosen = [columns[key] for key in keys]
    words = [isinstance(record["rows"][0][key], str) for key in keys]
    lines = [
        _line(_heading(column) for column in chosen),
        _line("---" if word else "---:" for word in words),
        *(_line(_cell(column, row[column["key"]]) for column in chosen) for row in record["rows"]),
    ]
    noise = [note for note in record["notes"] if note.startswith("The machine was")]
    source = [f"{machine['processor']}, {machine['cores']} cores. {record['title']}.", *noise]
    return "\n".join([*lines, "", " ".join(source), ""])


def _heading(column: Document) -> str:
    return f"{column['heading']}, {column['unit']}" if column["unit"] else column["heading"]


def _line(cells: Any) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(column: Document, cell: object) -> str:
    if cell is None:
        return ""
    if not isinstance(cell, int | float):
        return str(cell)
    digits = SIGNIFICANT - 1 - math.floor(math.log10(abs(cell))) if cell else 0
    return f"{round(cell, digits):,.{max(0, min(digits, column['digits']))}f}"


def main() -> None:
    """Fill the blocks of one file."""
    if len(sys.argv) < 3:
        sys.exit("hexlive: name a Markdown file and files of hexlive bench --json.")
    readme, *figures = map(Path, sys.argv[1:])
    try:
        text = readme.read_text()
        readme.write_text(filled(text, together(figures)))
    except (OSError, ValueError) as error:
        sys.exit(f"hexlive: {error}")


if __name__ == "__main__":
    main()
