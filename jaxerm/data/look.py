"""A contact sheet of pairs: one HTML file that opens from disk, images inside, boxes drawn, the ledger beneath."""

from __future__ import annotations

import base64
import io
from collections import Counter
from importlib.resources import files
from itertools import islice
from pathlib import Path

import jinja2
import numpy as np
from PIL import Image

from jaxerm.data.pair_files import PairFolder
from jaxerm.data.pairs import Pair

COLOURS = ("#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#e377c2", "#8c564b")
"""Of boxes and of their entries, in turn."""


def write_sheet(
    folder: str | Path, out: str | Path | None = None, *, limit: int | None = None, kind: str | None = None
) -> tuple[Path, int]:
    """Writes the contact sheet of a folder of pairs.

    Args:
      folder: as `write_pairs` left it.
      out: file to write; ``look.html`` in the folder if None.
      limit: pairs, at most.
      kind: only pairs with an edit of this kind.

    Returns:
      The file, and how many pairs it shows.

    Raises:
      ValueError: the list is broken, or no pair is left to show.
    """
    folder = Path(folder)
    chosen = (pair for pair in PairFolder(folder) if kind is None or any(edit.kind == kind for edit in pair.edits))
    pairs = list(islice(chosen, limit))
    if not pairs:
        raise ValueError(f"{folder} holds no pair" + (f" with an edit of kind {kind!r}" if kind else ""))
    counts = Counter(edit.kind for pair in pairs for edit in pair.edits)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string((files("jaxerm.data") / "look.html.j2").read_text(encoding="utf-8"))
    out = Path(out) if out is not None else folder / "look.html"
    cards = (_card(number, pair) for number, pair in enumerate(pairs, start=1))
    out.write_text(template.render(folder=folder.name, cards=cards, counts=counts.most_common(), n=len(pairs)), "utf-8")
    return out, len(pairs)


def _card(number: int, pair: Pair) -> dict:
    boxes = pair.boxes or (None,) * len(pair.edits)
    entries = [
        {"edit": edit, "colour": COLOURS[place % len(COLOURS)], "box": box, "number": place + 1}
        for place, (edit, box) in enumerate(zip(pair.edits, boxes, strict=True))
    ]
    # Where a table has another size its places are others too: a box of the reference would point at something else.
    same = pair.reference.shape == pair.prediction.shape
    sides = [
        {"name": "reference", "image": _png(pair.reference), "size": pair.reference.shape[1::-1], "drawn": True},
        {"name": "attempt", "image": _png(pair.prediction), "size": pair.prediction.shape[1::-1], "drawn": same},
    ]
    return {"number": number, "pair": pair, "entries": entries, "sides": sides}


def _png(image: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
