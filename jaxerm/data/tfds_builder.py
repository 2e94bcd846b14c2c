"""Pairs as a TensorFlow data set in ArrayRecord files: random access by ``tfds.data_source``, without TensorFlow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from jaxerm.data.export import png_bytes
from jaxerm.data.pairs import Pair
from jaxerm.data.picture import Picture
from jaxerm.data.rewardbench import read_rewardbench

_TEXTS = ("id", "category", "reference_code", "prediction_code", "errors", "boxes")


def _row(pair: Pair) -> dict[str, Any]:
    return {
        "id": pair.id, "category": pair.task, "reference": png_bytes(pair.reference),
        "prediction": png_bytes(pair.prediction),
        "reference_code": pair.reference_code, "prediction_code": pair.prediction_code,
        "errors": json.dumps(pair.critique.to_dict()["errors"], ensure_ascii=False), "boxes": json.dumps(pair.boxes),
    }  # fmt: skip


def _bench_rows(path: Path) -> Iterator[dict[str, Any]]:
    for item in read_rewardbench(path):
        images = [png_bytes(Picture(path=side).open()) for side in (item.reference, item.prediction)]
        errors = json.dumps(item.truth.to_dict()["errors"], ensure_ascii=False)
        yield {
            "id": item.id, "category": item.task, "reference": images[0], "prediction": images[1],
            "reference_code": "", "prediction_code": "", "errors": errors, "boxes": "[]",
        }  # fmt: skip


def write_tfds(pairs: Iterable[Pair] | str | Path, name: str, data_dir: str | Path | None = None) -> int:
    """Builds version 1.0.0 of a data set with one split, ``train``; returns how many pairs it holds.

    Features: ``id``, ``category`` (the task), ``reference`` and ``prediction`` (images), ``reference_code``,
    ``prediction_code``, ``errors`` (JSON, as in a critique) and ``boxes`` (JSON). As a source of references it is
    ``tfds:NAME`` with ``image: reference`` and ``code: reference_code``.

    Args:
      pairs: our own, or the path of a VC-RewardBench list, which has no code.
      name: of the data set: small letters, digits and underscores.
      data_dir: where it goes; the library's own place if None.

    Raises:
      ValueError: tensorflow-datasets is not installed, another name, or a broken list.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        raise ValueError(f"tfds:{name} needs pip install 'jaxerm[tfds]'") from None
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"a data set is named in small letters, digits and underscores, not {name!r}")
    rows = _bench_rows(Path(pairs)) if isinstance(pairs, str | Path) else map(_row, pairs)

    def info(builder: Any) -> Any:
        texts = {key: tfds.features.Text() for key in _TEXTS}
        images = {key: tfds.features.Image(shape=(None, None, 3)) for key in ("reference", "prediction")}
        return tfds.core.DatasetInfo(builder=builder, features=tfds.features.FeaturesDict(texts | images))

    # The library knows a data set by the name of its class.
    builder = type(
        "".join(part.title() for part in name.split("_")),
        (tfds.core.GeneratorBasedBuilder,),
        {
            "VERSION": tfds.core.Version("1.0.0"),
            "name": name,
            "_info": info,
            "_split_generators": lambda self, manager: {"train": enumerate(rows)},
            "_generate_examples": lambda self: None,
            "__module__": __name__,
        },
    )
    made = builder(data_dir=None if data_dir is None else str(data_dir), file_format="array_record")
    made.download_and_prepare()
    return made.info.splits["train"].num_examples
