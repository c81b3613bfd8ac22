"""Data inside a web page: JSON that no text in it can break out of.

Guarded by tests/eval/report/test_page_data.py.
"""

import json
from typing import Any

from markupsafe import Markup


def json_in_page(content: Any) -> Markup:
    """Write JSON that can stand in a `script` element, whatever text it holds."""
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)  # nothing in it can end the element
