"""The files in train/: shells read them, the commands in them exist, and each says how to check that it fits."""

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest

from jaxerm.models.chips import CHIPS
from jaxerm.recipe import load_recipe

FOLDER = Path(__file__).parent.parent / "train"
SCRIPTS = sorted(path.name for path in FOLDER.iterdir() if path.suffix in (".sh", ".sbatch"))
NOTEBOOK = FOLDER / "colab.ipynb"


def cells(kind):
    notebook = json.loads(NOTEBOOK.read_text())
    assert notebook["nbformat"] == 4
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def text_of(name):
    return "\n".join(cells("code")) if name == NOTEBOOK.name else (FOLDER / name).read_text()


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_shell_can_read_it(name):
    assert subprocess.run(["bash", "-n", FOLDER / name], check=False).returncode == 0


@pytest.mark.parametrize("name", [*SCRIPTS, NOTEBOOK.name])
def test_its_recipe_can_be_read_and_its_plan_is_of_that_recipe(name):
    text = text_of(name)
    ((kind, recipe, rest),) = re.findall(r"jaxerm (sft|grpo) (\w+)((?: \w+=[\w/]+)*)", text)
    assert load_recipe(recipe, rest.split()).kind == kind
    ((planned, topology),) = re.findall(r"jaxerm plan (\w+) --topology ([\w:]+)", text)
    assert planned == recipe and topology.split(":")[0] in {*CHIPS, "cpu"}
    # In the table as well.
    assert f"`{name}` | `jaxerm plan {planned} --topology {topology}`" in (FOLDER / "README.md").read_text()


def test_the_notebook_is_made_of_python_and_shell_lines_and_has_not_been_run():
    assert all(cell["outputs"] == [] for cell in json.loads(NOTEBOOK.read_text())["cells"] if "outputs" in cell)
    for source in cells("code"):
        ast.parse("\n".join(line for line in source.splitlines() if not line.startswith(("!", "%"))))
