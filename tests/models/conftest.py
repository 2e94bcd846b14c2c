"""One reference model, one tiny directory and one compiled forward pass for all tests here."""

from __future__ import annotations

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxerm.models import language as language_module
from jaxerm.models import tiny
from jaxerm.models.qwen3_vl.config import Qwen3VLConfig
from jaxerm.models.qwen3_vl.model import abstract_model
from jaxerm.models.qwen3_vl.weights import load_weights
from tests.models import reference
from tests.models.harness import new_forward


@pytest.fixture(scope="session")
def golden():
    from tests.models.make_golden import GOLDEN

    with np.load(GOLDEN) as file:
        return dict(file)


@pytest.fixture(scope="session", params=reference.KINDS)
def either_directory(request, tmp_path_factory):
    """The reference directory with tied, then with untied embeddings, then with a mixture of experts."""
    kind = request.param
    return kind, reference.write_directory(tmp_path_factory.mktemp(kind), reference.hf_config(**reference.KINDS[kind]))


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
    """What `make_tiny` writes, with a small vocabulary and weights whose every part matters.

    Its own fresh weights would take longer to compile than all other tests here; they are never drawn.
    """
    directory = tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "Qwen3VL", blank_model)
        tiny.make_tiny(directory, CORPUS, vocab_size=300)
    weights = reference.tensors(json.loads((directory / "config.json").read_text()))
    # Smaller embeddings: with larger ones, tied, the likeliest token is the one that was just read.
    weights["model.language_model.embed_tokens.weight"] *= 0.1
    assert {name: value.shape for name, value in load_file(directory / "model.safetensors").items()} == {
        name: value.shape for name, value in weights.items()
    }
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    return directory


def blank_model(config, **kinds):
    """A model of zeros."""
    del kinds
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), abstract_model(config))


@pytest.fixture(scope="session")
def small_directory(tiny_directory, tmp_path_factory):
    """The tiny directory's tokenizer and pictures before the reference network, whose every part matters.

    Untied: with random tied embeddings, the likeliest token is the one that was just read.
    """
    directory = tmp_path_factory.mktemp("small") / "model"
    shutil.copytree(tiny_directory, directory)
    theirs = json.loads((tiny_directory / "config.json").read_text())
    special = {name: theirs.get(name, theirs["text_config"].get(name)) for name in reference.SPECIAL}
    size = theirs["text_config"]["vocab_size"]
    return reference.write_directory(
        directory, reference.hf_config(tied=False, vocab_size=size, patch_size=8, **special)
    )


@pytest.fixture(scope="session")
def small(small_directory):
    return language_module.load(small_directory)
