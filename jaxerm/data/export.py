"""Pairs in the formats others read: verl's parquet, ArrayRecord for Grain, VC-RewardBench's list."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from jaxerm.data.pairs import Pair
from jaxerm.prompts import Prompts

_ROWS = 64
"""Rows of one group: what a reader has to hold at a time."""


def png_bytes(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def _question(pair: Pair, prompts: Prompts) -> str:
    """The text a reward model is asked, with a mark where each image goes."""
    parts = prompts.critique(pair.task, None, None)[0]["content"]
    return "".join("<image>" if part["type"] == "image" else part["text"] for part in parts)


def write_verl(pairs: Iterable[Pair], path: str | Path, prompts: str = "full") -> int:
    """Writes pairs as verl reads them; returns how many.

    Columns: ``data_source``, ``prompt`` (one turn; ``<image>`` stands for each picture), ``images`` (reference and
    attempt, bytes of PNG files), ``ability`` (the task), ``reward_model`` (``ground_truth``: the critique as JSON) and
    ``extra_info`` (index, id, both programs, the boxes as JSON).

    Raises:
      ValueError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ValueError("parquet files need pyarrow: pip install 'jaxerm[parquet]'") from None
    text, number = pa.string(), pa.int64()
    schema = pa.schema(
        {
            "data_source": text,
            "prompt": pa.list_(pa.struct({"role": text, "content": text})),
            "images": pa.list_(pa.struct({"bytes": pa.binary(), "path": text})),
            "ability": text,
            "reward_model": pa.struct({"style": text, "ground_truth": text}),
            "extra_info": pa.struct(
                {"index": number, "id": text, "reference_code": text, "prediction_code": text, "boxes": text}
            ),
        }
    )
    asked = Prompts(prompts)
    count = 0
    with pq.ParquetWriter(path, schema) as writer:
        rows: list[dict] = []
        for count, pair in enumerate(pairs, start=1):
            rows.append(
                {
                    "data_source": f"jaxerm/{pair.task}",
                    "prompt": [{"role": "user", "content": _question(pair, asked)}],
                    "images": [
                        {"bytes": png_bytes(image), "path": None} for image in (pair.reference, pair.prediction)
                    ],
                    "ability": pair.task,
                    "reward_model": {"style": "rule", "ground_truth": pair.critique.to_json()},
                    "extra_info": {
                        "index": count - 1,
                        "id": pair.id,
                        "reference_code": pair.reference_code,
                        "prediction_code": pair.prediction_code,
                        "boxes": json.dumps(pair.boxes),
                    },
                }
            )
            if len(rows) == _ROWS:
                writer.write_table(pa.Table.from_pylist(rows, schema))
                rows = []
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, schema))
    return count


def write_array_record(pairs: Iterable[Pair], path: str | Path) -> int:
    """Writes pairs as an ArrayRecord file, random access by index; returns how many.

    A record is msgpack: ``id``, ``task``, ``reference`` and ``prediction`` (PNG), ``reference_code``,
    ``prediction_code``, ``critique`` (JSON) and ``boxes``.
    """
    import msgpack
    from array_record.python.array_record_module import ArrayRecordWriter

    # One record a group: what is read at random should not drag its neighbours along.
    writer = ArrayRecordWriter(str(path), "group_size:1")
    count = 0
    for pair in pairs:
        record = {
            "id": pair.id,
            "task": pair.task,
            "reference": png_bytes(pair.reference),
            "prediction": png_bytes(pair.prediction),
            "reference_code": pair.reference_code,
            "prediction_code": pair.prediction_code,
            "critique": pair.critique.to_json(),
            "boxes": pair.boxes,
        }
        writer.write(msgpack.packb(record))
        count += 1
    writer.close()
    return count


def write_rewardbench(pairs: Iterable[Pair], path: str | Path) -> int:
    """Writes pairs as VC-RewardBench has them, images in a folder ``images`` beside the list; returns how many.

    A line holds ``id``, ``idx``, ``category`` (the task), ``gt_img_path``, ``pred_img_path`` and ``human_errors``.
    """
    path = Path(path)
    (path.parent / "images").mkdir(parents=True, exist_ok=True)
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for pair in pairs:
            names = [f"images/{pair.task}_{count:03d}_{side}.png" for side in ("gt", "pred")]
            for name, image in zip(names, (pair.reference, pair.prediction), strict=True):
                Image.fromarray(image).save(path.parent / name, optimize=True)
            line = {
                "id": pair.id, "idx": count, "category": pair.task, "gt_img_path": names[0], "pred_img_path": names[1],
                "human_errors": [
                    {"type": error.category, "severity": error.severity, "description": error.description}
                    for error in pair.critique.errors
                ],
            }  # fmt: skip
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            count += 1
    return count
