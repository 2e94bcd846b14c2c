"""The formats people have: each gives the same picture and the same code through one interface."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from jaxerm.data.export import write_array_record, write_rewardbench, write_verl
from jaxerm.data.pair_files import write_pairs
from jaxerm.data.pairs import BrokenSample, PairMaker, drawn
from jaxerm.data.picture import Picture, picture_of
from jaxerm.data.rewardbench import read_rewardbench
from jaxerm.data.sources import open_source

CODE = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="4" height="4"/></svg>'
ANSWER = f"Here it is:\n```svg\n{CODE}\n```"
ROWS = {
    "swift": {
        "messages": [{"role": "user", "content": "<image>draw"}, {"role": "assistant", "content": ANSWER}],
        "images": ["pictures/a.png"],
    },
    "llamafactory": {
        "conversations": [{"from": "human", "value": "<image>draw"}, {"from": "gpt", "value": ANSWER}],
        "images": ["pictures/a.png"],
    },
    "alpaca": {"instruction": "<image>draw", "input": "", "output": ANSWER, "images": ["pictures/a.png"]},
    "verl": {
        "prompt": [{"role": "user", "content": "<image>draw"}],
        "images": [{"path": "pictures/a.png"}],
        "reward_model": {"style": "rule", "ground_truth": CODE},
    },
    "vc_rewardbench": {
        "id": "b", "category": "svg", "gt_img_path": "pictures/a.png", "pred_img_path": "pictures/b.png",
        "human_errors": [], "reference_code": CODE,
    },
    "columns": {"deep": {"pictures": ["pictures/a.png"]}, "svg_text": CODE},
}  # fmt: skip
OPTIONS = {"columns": {"image": "deep.pictures.0", "code": "svg_text"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with one picture, seven pixels wide."""
    folder = tmp_path_factory.mktemp("formats")
    (folder / "pictures").mkdir()
    Image.new("RGB", (7, 5), "red").save(folder / "pictures" / "a.png")
    return folder


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("end", ["jsonl", "json"])
def test_rows_are_programs(folder, name, end):
    path = folder / f"{name}.{end}"
    rows = [ROWS[name]] * 3
    path.write_text(json.dumps(rows) if end == "json" else "\n\n".join(map(json.dumps, rows)) + "\n")
    source = open_source(str(path), task="svg", **OPTIONS.get(name, {}))
    assert len(source) == 3 and source.task == "svg"
    program = source[2]
    assert program.code == CODE and program.task == "svg"
    # It travels as a path.
    assert program.picture == Picture(path=folder / "pictures" / "a.png")
    assert program.picture.open().shape == (5, 7, 3)


def test_parquet_rows_are_read_group_by_group(folder):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    data = (folder / "pictures" / "a.png").read_bytes()
    rows = [{"id": f"r{n}", "picture": {"bytes": data, "path": "elsewhere.png"}, "text": CODE} for n in range(10)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet", row_group_size=3)
    source = open_source(str(folder / "rows.parquet"), task="svg", image="picture", code="text")
    assert [source[index].name for index in (0, 2, 3, 9)] == ["r0", "r2", "r3", "r9"]
    assert source[4].picture.data == data and source[4].picture.open().shape == (5, 7, 3)


def test_tfds_is_a_source(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    image = np.full((4, 6, 3), (0, 0, 255), np.uint8)
    Image.fromarray(image).save(tmp_path / "blue.png")

    class OwnIcons(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = tfds.features.FeaturesDict({"image": tfds.features.Image(), "code": tfds.features.Text()})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, manager):
            return {"train": ((n, {"image": str(tmp_path / "blue.png"), "code": CODE}) for n in range(3))}

        def _generate_examples(self):
            raise NotImplementedError

    OwnIcons(data_dir=str(tmp_path), file_format="array_record").download_and_prepare()
    source = open_source("tfds:own_icons", task="svg", image="image", code="code", data_dir=str(tmp_path))
    assert len(source) == 3 and source[1].code == CODE
    assert isinstance(source[1].picture.data, bytes) and np.array_equal(source[1].picture.open(), image)


def test_pairs_and_a_benchmark_become_tfds(pairs, tmp_path):
    pytest.importorskip("tensorflow_datasets")
    from jaxerm.data.tfds_builder import write_tfds

    assert write_tfds(pairs, "own_pairs", tmp_path) == 2
    columns = {"image": "reference", "code": "reference_code", "data_dir": str(tmp_path)}
    source = open_source("tfds:own_pairs", **columns)
    found = {source[index].name: source[index] for index in range(2)}
    assert set(found) == {pair.id for pair in pairs} and source.task == "svg"
    assert np.array_equal(found[pairs[0].id].picture.open(), pairs[0].reference)
    write_rewardbench(pairs, tmp_path / "bench.jsonl")
    assert write_tfds(tmp_path / "bench.jsonl", "own_bench", tmp_path) == 2
    bench = open_source("tfds:own_bench", image="prediction", data_dir=str(tmp_path))
    assert bench[0].picture.open().shape == pairs[0].prediction.shape
    with pytest.raises(ValueError, match="small letters"):
        write_tfds(pairs, "Own Pairs", tmp_path)


@pytest.mark.parametrize(
    "text, options, words",
    [
        ("", {}, "holds no rows"),
        ("{", {"task": "svg"}, "item 0: not JSON"),
        ("[]", {"task": "svg"}, "item 0: a list"),
        ('{"a": 1, "b": 2}', {"task": "svg"}, "has the fields a, b, which are none of the formats"),
        (json.dumps(ROWS["swift"]), {}, "does not say its task"),
        ('{"a": 1}', {"task": "svg", "code": "b"}, "neither an image nor svg code"),
        ('{"a": 1}', {"task": "svg", "image": "a"}, "an image is a path, bytes"),
    ],
)
def test_what_is_not_in_a_format_is_named(tmp_path, text, options, words):
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=words) as error:
        open_source(str(path), **options)
    assert str(path) in str(error.value)


def test_missing_files_and_kinds_are_named(tmp_path):
    for name, words in (("rows.jsonl", "there is no file"), ("rows.txt", "unknown source"), ("nothing", "unknown")):
        with pytest.raises(ValueError, match=words):
            open_source(str(tmp_path / name), **({"task": "svg"} if name.endswith("l") else {}))
    with pytest.raises(ValueError, match="a path, bytes"):
        picture_of("https://example.com/a.png", tmp_path)


def test_pictures_are_opened_where_they_are_needed(pool, folder):
    path = folder / "images.jsonl"
    path.write_text("\n".join(json.dumps({"picture": f"pictures/{name}.png"}) for name in "ab"))
    source = open_source(str(path), task="svg", image="picture")
    assert drawn(source[0], pool).shape == (5, 7, 3)
    with pytest.raises(BrokenSample, match="there is no image .*b.png"):
        drawn(source[1], pool)
    with pytest.raises(BrokenSample, match="no code: there is nothing to corrupt"):
        PairMaker(source, pool).make(0)


def test_scripts_and_pages_are_sources(tmp_path, pool):
    (tmp_path / "py").mkdir()
    (tmp_path / "py" / "my_bars.py").write_text(
        "import matplotlib.pyplot as plt\nplt.bar(['a', 'b', 'c'], [1, 2, 3])\nplt.title('T')\nplt.show()\n"
    )
    (tmp_path / "py" / "other.py").write_text("print(1)")
    scripts = open_source(str(tmp_path / "py"))
    assert scripts.task == "chart" and len(scripts) == 1 and scripts[0].description == "chart: my bars"
    pair = PairMaker(scripts, pool, clean_share=0, max_edits=1).make(0)
    assert pair.edits and "plt.show" in pair.prediction_code
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "page.html").write_text(
        "<html><body><table><tr><td><table><tr><td>x<td>y</table></td></tr></table>"
        "<table class=a border=1><caption>Some <b>words</b></caption><tr><th colspan=2>Head&amp;er</tr>"
        "<tr><td><a href='#'>one</a> more <td style='x'>2 &lt; 3</tr><tr><td>three<td>4</tr></table></body></html>"
    )
    pages = open_source(str(tmp_path / "html"))
    assert len(pages) == 1 and pages[0].code.splitlines() == [
        "<table>",
        "<caption>Some words</caption>",
        '<tr><th colspan="2">Head&amp;er</th></tr>',
        "<tr><td>one more</td><td>2 &lt; 3</td></tr>",
        "<tr><td>three</td><td>4</td></tr>",
        "</table>",
    ]
    assert drawn(pages[0], pool).std() > 0


@pytest.fixture(scope="module")
def pairs(pool):
    """Two pairs with boxes."""
    maker = PairMaker(open_source("drawings"), pool, seed=4, clean_share=0, boxes=True)
    return [maker.make(index) for index in range(2)]


def test_pairs_written_for_verl_come_back_as_a_source(pairs, tmp_path):
    pytest.importorskip("pyarrow")
    assert write_verl(pairs, tmp_path / "pairs.parquet") == 2
    columns = {"image": "images.1", "code": "extra_info.reference_code"}
    source = open_source(str(tmp_path / "pairs.parquet"), task="svg", **columns)
    assert np.array_equal(source[1].picture.open(), pairs[1].prediction) and source[1].code == pairs[1].reference_code
    from pyarrow.parquet import read_table

    row = read_table(tmp_path / "pairs.parquet").to_pylist()[0]
    assert row["prompt"][0]["content"].count("<image>") == len(row["images"]) == 2
    assert row["reward_model"]["ground_truth"] == pairs[0].critique.to_json()


def test_pairs_written_as_array_record_are_read_by_index(pairs, tmp_path):
    import grain
    import msgpack

    path = tmp_path / "pairs.array_record"
    assert write_array_record(pairs, path) == 2
    record = msgpack.unpackb(grain.sources.ArrayRecordDataSource(str(path))[1])
    assert record["id"] == pairs[1].id and record["boxes"] == [list(box) for box in pairs[1].boxes]
    assert np.array_equal(Picture(data=record["reference"]).open(), pairs[1].reference)


def test_pairs_written_as_a_benchmark_are_read_as_one(pairs, tmp_path):
    assert write_rewardbench(pairs, tmp_path / "list" / "bench.jsonl") == 2
    items = read_rewardbench(tmp_path / "list" / "bench.jsonl")
    assert [item.truth.severity for item in items] == [pair.critique.severity for pair in pairs]
    assert np.array_equal(Picture(path=items[1].prediction).open(), pairs[1].prediction)


def test_our_own_pairs_are_a_source_of_references(pairs, tmp_path):
    source = open_source(str(write_pairs(pairs, tmp_path)))
    assert source.task == "svg" and source[1].code.splitlines() == pairs[1].reference_code.splitlines()
    assert np.array_equal(source[1].picture.open(), pairs[1].reference)


def test_a_file_is_told_its_task_where_its_rows_do_not_say_it(tmp_path):
    chart, drawing = "```python\nplt.savefig('x')\n```", "<svg><circle r='4'/></svg>"
    for name, output, more, task in (("a", chart, {}, "chart"), ("b", drawing, {"category": "svg"}, "svg")):
        file = tmp_path / f"{name}.jsonl"
        file.write_text(json.dumps({"instruction": "draw", "output": output, **more}))
        assert open_source(str(file), task="chart").task == task
