"""What another library says becomes one line, whatever it says."""

import pytest

from barcodemae.errors import first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one line"), "one line"),
        (ValueError("\n  \n\tthe first with words \r\nand another"), "the first with words"),
        (RuntimeError(), "RuntimeError"),
        (KeyError(" \n"), "' \\n'"),
        (OSError(" \n "), "OSError"),
    ],
)  # fmt: skip
def test_the_first_line_that_says_something_stands_for_an_error(error, line):
    assert first_line(error) == line
