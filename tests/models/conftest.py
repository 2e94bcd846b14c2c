"""One reference model, one tiny directory and one compiled forward pass for all tests here."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from jaxerm.models import language as language_module
from jaxerm.models import tiny
from jaxerm.models.qwen3_vl.config import Qwen3VLConfig
from jaxerm.models.qwen3_vl.weights import load_weights
from tests.models import reference
from tests.models.harness import new_forward


@pytest.fixture(scope="session")
def golden():
    from tests.models.make_golden import GOLDEN

    with np.load(GOLDEN) as file:
        return dict(file)


@pytest.fixture(scope="session", params=[True, False], ids=["tied", "untied"])
def either_directory(request, tmp_path_factory):
    """The reference directory with tied, then with untied embeddings."""
    kind = "tied" if request.param else "untied"
    return kind, reference.write_directory(tmp_path_factory.mktemp(kind), reference.hf_config(tied=request.param))


@pytest.fixture(scope="session")
def reference_directory(tmp_path_factory):
    return reference.write_directory(tmp_path_factory.mktemp("reference"), reference.hf_config())


@pytest.fixture(scope="session")
def reference_model(reference_directory):
    return load_weights(reference_directory, Qwen3VLConfig.load(reference_directory))


@pytest.fixture(scope="session")
def forward():
    """(graphdef, params, inputs) -> logits, compiled once a shape."""
    return new_forward()


CORPUS = ["".join(f'<rect x="{i}" y="{i * 7 % 50}" width="{i % 9}" fill="red"/>' for i in range(40)), "What differs?"]


@pytest.fixture(scope="session")
def tiny_directory(tmp_path_factory):
    """What `make_tiny` writes, with a small vocabulary."""
    directory = tmp_path_factory.mktemp("tiny")
    tiny.make_tiny(directory, CORPUS, vocab_size=300)
    return directory


@pytest.fixture(scope="session")
def small_directory(tiny_directory, tmp_path_factory):
    """The tiny directory's tokenizer and pictures before the reference network, whose every part matters."""
    directory = tmp_path_factory.mktemp("small") / "model"
    shutil.copytree(tiny_directory, directory)
    theirs = json.loads((tiny_directory / "config.json").read_text())
    special = {name: theirs.get(name, theirs["text_config"].get(name)) for name in reference.SPECIAL}
    size = theirs["text_config"]["vocab_size"]
    return reference.write_directory(directory, reference.hf_config(vocab_size=size, patch_size=8, **special))


@pytest.fixture(scope="session")
def small(small_directory):
    return language_module.load(small_directory)
