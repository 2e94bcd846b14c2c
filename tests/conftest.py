"""What all tests share: four simulated devices, so that meshes are real ones on any machine."""

import os

# Before anything reads them: no notes from XLA's developers between the dots, and nothing is fetched.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import jax  # noqa: E402

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 4)
