"""What a changed cell of a table is called and how much it matters: the same rule for those we broke and all others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from jaxerm.data.corruption.common import contrast, shown
from jaxerm.data.program import Edit

_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?%?")


def is_number(text: str) -> bool:
    """Whether a cell holds a plain number."""
    return bool(_NUMBER.fullmatch(text.strip()))


def number_of(text: str) -> float:
    """The number in a cell that `is_number`."""
    return float(text.strip().rstrip("%"))


def near(one: str, two: str) -> bool:
    """Whether two texts differ in a letter or two, or in the case of their letters."""
    one, two = one.casefold(), two.casefold()
    if abs(len(one) - len(two)) > 2:
        return False
    kept = sum(block.size for block in SequenceMatcher(None, one, two, autojunk=False).get_matching_blocks())
    return max(len(one), len(two)) - kept <= 2 and kept >= max(len(one), len(two)) / 2


def column_words(names: Sequence[str], place: int) -> str:
    """What column `place`, from 0, is called: by its header where no other has the same."""
    name = names[place] if place < len(names) else ""
    return f"column {shown(name)}" if name and names.count(name) == 1 else f"column {place + 1}"


def row_words(cells: Sequence[str], place: int) -> str:
    """What row `place`, from 0, is called: by its number and its first cell."""
    first = cells[0] if cells else ""
    return f"row {place + 1} ({shown(first)})" if first else f"row {place + 1}"


def cell_entry(kind: str, row: int, column: str, new: str, old: str) -> Edit:
    """The entry of a cell that holds `new` and should hold `old`.

    Severity: of numbers 1 below a tenth of the value, 2 below four fifths, else 3, and 2 where only a percent sign
    differs; of texts 1 where they are `near`, else 2; an empty cell, and a number in place of a text, 2.

    Args:
      kind: what was done.
      row: from 1, the header not counted.
      column: in words.
    """
    category = "numeric_error" if is_number(old) else "text_error"
    if is_number(old) and is_number(new):
        change = abs(number_of(new) - number_of(old)) / max(abs(number_of(old)), 1e-9)
        severity = 2 if change == 0 else 1 if change < 0.1 else 2 if change < 0.8 else 3
    else:
        severity = 1 if new and category == "text_error" and near(new, old) else 2
    new_words, old_words = contrast(new, old)
    text = f"row {row}, {column} is {new_words or 'empty'}, should be {old_words or 'empty'}"
    return Edit(kind, category, severity, None, text)


def header_entry(kind: str, column: int, new: str, old: str) -> Edit:
    """The entry of a header, `column` from 1: 1 where it is `near` what it should be, else 2."""
    new_words, old_words = contrast(new, old)
    text = f"header {column} is {new_words or 'empty'}, should be {old_words or 'empty'}"
    return Edit(kind, "text_error", 1 if new and near(new, old) else 2, None, text)
