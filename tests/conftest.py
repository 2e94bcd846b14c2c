"""What all tests share: four simulated devices, so that meshes are real ones on any machine; quick compilations."""

import os

# Before anything reads them: no notes from XLA's developers between the dots, and nothing is fetched.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Tests compile much and compute little: XLA is done in half the time when it does not polish its machine code.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_backend_optimization_level=0"

import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 4)


@pytest.fixture(scope="session")
def micro_directory(tmp_path_factory):
    """An untrained model directory, small enough to train in a test."""
    from tests.micro import make_micro

    return make_micro(tmp_path_factory.mktemp("micro"))


@pytest.fixture(scope="session")
def micro(micro_directory):
    from jaxerm.models.language import load

    return load(micro_directory)


@pytest.fixture(scope="session")
def pool():
    """Renderers that draw SVGs at 64 pixels, as the tiny models see them."""
    from jaxerm.render import RenderOptions, RenderPool

    with RenderPool(2, options=RenderOptions(svg_size=64)) as pool:
        yield pool
