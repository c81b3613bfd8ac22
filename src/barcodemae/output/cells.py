r"""Cells of a row: text that cannot break the line or the column it stands in.

In: ids, names and reasons as they came in. Out: the same text, in which every character that ends a
line or a cell for some reader (tab, line feed, return, NUL, U+0085, U+2028, ...) is written as a
backslash and its name or code: `\t`, `\n`, `\x0b`, `\u2028`. All else stays verbatim, backslashes
and bytes that were not UTF-8 among it. Guarded by tests/barcodemae/output/test_cells.py.
"""

import json
import re
from collections.abc import Iterable
from typing import Any


# The control characters of ASCII and Latin-1, and the separators of Unicode.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
NAMED = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}


def escape(text: str) -> str:
    """Write control characters as text, so that no reader sees a line or a cell end in them."""
    return CONTROL.sub(lambda found: NAMED.get(found[0], _code(found[0])), text)


def _code(letter: str) -> str:
    return f"\\x{ord(letter):02x}" if ord(letter) < 0x100 else f"\\u{ord(letter):04x}"


def row_of(cells: Iterable[str]) -> str:
    """Join cells by tabs to a row, line end included."""
    whole = list(cells)
    if CONTROL.search("".join(whole)):  # one search of them all, as hardly any row has one
        whole = list(map(escape, whole))
    return "\t".join(whole) + "\n"


def json_line(content: Any) -> str:
    """Write an object as one line of JSON Lines; control characters as JSON's own escapes."""
    text = json.dumps(content, ensure_ascii=False)
    return CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"
