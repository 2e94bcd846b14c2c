"""The command as a user runs it: what it prints, and that no mistake ends in a traceback."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jaxerm.cli import main
from jaxerm.data.pair_files import PairFolder

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><circle cx="32" cy="32" r="20" fill="red"/></svg>'


@pytest.fixture
def jaxerm(monkeypatch, capsys):
    """Runs the command in this process, where JAX is already loaded: (status, stdout, stderr)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["jaxerm", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as done:
            status = done.code or 0
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture(scope="module")
def svg_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "a.svg"
    path.write_text(SVG)
    return path


def test_render_writes_a_png(jaxerm, svg_file, tmp_path):
    status, out, err = jaxerm("render", svg_file, "--task", "svg", "--out", tmp_path / "a.png", "--size", 64)
    assert status == 0, err
    image = np.asarray(Image.open(tmp_path / "a.png"))
    assert image.shape == (64, 64, 3) and tuple(image[32, 32]) == (255, 0, 0)
    assert "64 x 64" in out


def test_render_takes_the_block_out_of_an_answer(jaxerm, tmp_path):
    (tmp_path / "answer.txt").write_text(f"Here you are:\n```svg\n{SVG}\n```\n")
    status, _, err = jaxerm("render", tmp_path / "answer.txt", "-t", "svg", "--out", tmp_path / "a.png")
    assert status == 0, err


def test_synth_writes_pairs_that_can_be_read(jaxerm, tmp_path):
    made = ("--source", "drawings", "--n", 3, "--seed", 5, "--out", tmp_path / "d", "--size", 64)
    status, _, err = jaxerm("synth", "-t", "svg", *made)
    assert status == 0, err
    pairs = list(PairFolder(tmp_path / "d"))
    assert len(pairs) == 3 and pairs[0].reference.shape == (64, 64, 3)


MISTAKES = {
    "missing image": (("score", "nowhere.png", "nowhere.png", "-t", "svg"), "nowhere.png"),
    "broken image": (("score", "{svg}", "{svg}", "-t", "svg"), "not a readable image"),
    "unknown task": (("score", "a.png", "b.png", "-t", "figure"), "chart, table, svg"),
    "missing recipe": (("sft", "tiny_erm_stf"), "tiny_erm_sft"),
    "unknown key": (("sft", "tiny_erm_sft", "stesp=3"), "steps"),
    "wrong kind": (("grpo", "tiny_erm_sft"), "jaxerm sft"),
    "missing model": (("sft", "tiny_erm_sft", "model=nowhere", "out={tmp}/run"), "nowhere"),
    "code that does not render": (("render", "{broken}", "-t", "svg", "--out", "{tmp}/x.png"), "does not render"),
    "missing code": (("render", "nowhere.svg", "-t", "svg", "--out", "{tmp}/x.png"), "nowhere.svg"),
    "unknown source": (("synth", "-t", "svg", "--source", "nothing", "--out", "{tmp}/y"), "drawings"),
    "source of another task": (("synth", "-t", "chart", "--source", "drawings", "--out", "{tmp}/y"), "svg"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_status_two(jaxerm, name, svg_file, tmp_path):
    arguments, words = MISTAKES[name]
    broken = tmp_path / "broken.svg"
    broken.write_text("<svg")
    status, _, err = jaxerm(*(text.format(svg=svg_file, tmp=tmp_path, broken=broken) for text in arguments))
    assert status == 2, err
    assert words in err
    assert len(err.strip().splitlines()) == 1, err


def test_a_mistake_shows_no_traceback_in_a_shell(tmp_path):
    command = [sys.executable, "-m", "jaxerm.cli", "sft", "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr and "nowhere" in done.stderr


def test_a_run_that_a_watch_dog_ends_has_a_status_of_its_own(jaxerm, monkeypatch, tmp_path):
    from jaxerm.train.watch import RunStopped

    def run(recipe, overwrite, resume, **_):
        assert resume and not overwrite
        raise RunStopped("stopped at step 3: loss is nan.")

    monkeypatch.setattr("jaxerm.train.sft.run_sft", run)
    status, _, err = jaxerm("sft", "tiny_svg_sft", f"out={tmp_path}", "--resume")
    assert status == 3 and err == "jaxerm: stopped at step 3: loss is nan.\n"


def test_score_prints_json_that_a_program_can_read(jaxerm, tmp_path):
    """With the shipped reward model: whatever it says of two equal pictures, reward and critique agree."""
    Image.new("RGB", (64, 64), "white").save(tmp_path / "a.png")
    status, out, err = jaxerm("score", tmp_path / "a.png", tmp_path / "a.png", "-t", "svg", "--json")
    assert status == 0, err
    result = json.loads(out)
    assert result["reward"] == pytest.approx(1 + max(0, 1 - result["severity"] / 50))
    assert sum(error["severity"] for error in result["critique"]["errors"]) == result["severity"]


def test_refine_prints_the_code_it_kept(jaxerm, tmp_path):
    drawing = SVG.replace('"20"', '"9"')
    (tmp_path / "a.svg").write_text(drawing)
    assert jaxerm("render", tmp_path / "a.svg", "-t", "svg", "--out", tmp_path / "a.png", "--size", 64)[0] == 0
    status, out, err = jaxerm(
        "refine", tmp_path / "a.png", "-t", "svg", "--rounds", 1, "--out", tmp_path / "r", "--json"
    )
    assert status == 0, err
    result = json.loads(out)
    assert 1 <= len(result["rounds"]) <= 2
    assert (tmp_path / "r" / "round_0.txt").is_file()


def test_importing_the_package_loads_no_jax():
    code = "import sys, jaxerm; assert not {'jax', 'transformers', 'matplotlib'} & set(sys.modules), 'heavy'"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
