"""Forward, train step and generation against Hugging Face on PyTorch: same weights, same inputs, same run, JSON out.

    python -m benchmarks.model --size tiny --repeat 5
    python -m benchmarks.model --size 100m --length 256

Times are the fastest of the repeats after one that is not counted; both sides take the threads of the machine, float32.
`at_most` is the ratio if ours were nothing but the matmuls of the model, each as fast as the fastest lone matmul
of either side in the same run, and in generation one reading of the parameters a token at the fastest rate of a sum.
`decode` is our time of one more token, and what share of that rate reading the parameters for it comes to.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jaxerm.models.qwen3_vl.config import Qwen3VLConfig, TextConfig, VisionConfig
from jaxerm.models.qwen3_vl.flops import forward_flops
from jaxerm.models.qwen3_vl.inputs import Sample, batch_inputs
from jaxerm.models.qwen3_vl.model import Qwen3VL
from jaxerm.models.qwen3_vl.weights import save_weights
from jaxerm.models.sampler import Sampling, generate, rearrange, row_keys
from jaxerm.models.tiny import SPECIAL_TOKENS, tiny_config


def config_of(size: str) -> Qwen3VLConfig:
    """``tiny``, as shipped, or ``100m``: twelve layers of 768 and a vision tower of eight layers of 384."""
    special = {token: 1000 + number for number, token in enumerate(SPECIAL_TOKENS)}
    if size == "tiny":
        return tiny_config(1008, special)
    vision = VisionConfig(8, 384, 1536, 6, 768, 16, 2, 2, 24 * 24, (2, 4, 6))
    text = TextConfig(16_008, 768, 2048, 12, 12, 4, 64, (12, 10, 10))
    ids = [special[f"<|{name}|>"] + 15_000 for name in ("image_pad", "video_pad", "vision_start", "vision_end")]
    ends = [special[f"<|{name}|>"] + 15_000 for name in ("im_end", "endoftext")]
    return Qwen3VLConfig(vision, text, *ids, *ends, tie_word_embeddings=True)


def prompts(config: Qwen3VLConfig, rows: int, length: int, side: int) -> list[Sample]:
    """Noise: one square image of side x side patches a row, and text up to `length` tokens."""
    random = np.random.RandomState(0)
    merged = side * side // config.vision.spatial_merge_size**2
    image = [config.vision_start_token_id, *[config.image_token_id] * merged, config.vision_end_token_id]
    return [
        Sample(
            np.asarray([*image, *random.randint(0, 900, length - len(image))], np.int32),
            random.uniform(-1, 1, (side * side, config.vision.patch_dim)).astype(np.float32),
            ((1, side, side),),
        )
        for _ in range(rows)
    ]


def fastest(function: Callable[[], object], repeat: int) -> float:
    """Seconds."""
    function()
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return min(times)


def ours(config, model, samples, length, new_tokens, repeat) -> dict[str, float]:
    patches = len(samples[0].patches)
    inputs = jax.device_put(batch_inputs(samples, config, length=length, patches=patches))
    graphdef, params = nnx.split(model)
    forward = jax.jit(lambda p, i: nnx.merge(graphdef, p)(i))
    optimizer = optax.adamw(1e-5)
    # In place, as the trainers do it and as Hugging Face's optimiser does.
    trained = jax.tree.map(jnp.copy, params), jax.jit(optimizer.init)(params)

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(params, state, inputs):
        def loss(params):
            logits = nnx.merge(graphdef, params)(inputs)[:, :-1]
            return optax.softmax_cross_entropy_with_integer_labels(logits, inputs.tokens[:, 1:]).mean()

        value, gradients = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, value

    def train():
        nonlocal trained
        *trained, value = step(*trained, inputs)
        value.block_until_ready()

    # Nothing ends an answer: both sides write as many tokens.
    banned = np.zeros(config.text.vocab_size, bool)
    banned[[*config.stop_token_ids, config.image_token_id, config.video_token_id]] = True
    keys, greedy = row_keys(0, np.arange(len(samples))), Sampling(0.0).arrays()

    # Once for the same parameters, as a loaded model does it.
    rearranged = rearrange(graphdef, params) if jax.default_backend() == "cpu" else None

    def write(new_tokens):
        settings = {"max_new_tokens": new_tokens, "rearranged": rearranged}
        return generate(graphdef, params, inputs, jnp.asarray(banned), keys, greedy, **settings)

    return {
        "forward": fastest(lambda: jax.block_until_ready(forward(params, inputs)), repeat),
        "train_step": fastest(train, repeat),
        "generation": fastest(lambda: jax.block_until_ready(write(new_tokens)), repeat),
        "first_token": fastest(lambda: jax.block_until_ready(write(1)), repeat),
    }


def theirs(directory, config, samples, new_tokens, repeat) -> dict[str, float]:
    import torch
    from transformers import AutoModelForImageTextToText

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModelForImageTextToText.from_pretrained(directory, dtype=torch.float32).to(device)
    tokens = torch.tensor(np.stack([sample.tokens for sample in samples]), device=device)
    inputs = {
        "input_ids": tokens.long(),
        "attention_mask": torch.ones_like(tokens),
        "mm_token_type_ids": (tokens == config.image_token_id).long(),
        "pixel_values": torch.tensor(np.concatenate([sample.patches for sample in samples]), device=device),
        "image_grid_thw": torch.tensor([grid for sample in samples for grid in sample.grids], device=device),
    }
    optimizer = torch.optim.AdamW(model.parameters(), 1e-5)
    stop = {"min_new_tokens": new_tokens, "max_new_tokens": new_tokens, "do_sample": False}
    stop["suppress_tokens"] = [*config.stop_token_ids, config.image_token_id, config.video_token_id]

    def synchronised(function):
        def run():
            function()
            if device == "cuda":
                torch.cuda.synchronize()

        return run

    def forward():
        with torch.no_grad():
            model(**inputs)

    def step():
        optimizer.zero_grad()
        model(**inputs, labels=inputs["input_ids"]).loss.backward()
        optimizer.step()

    calls = {"forward": forward, "train_step": step, "generation": lambda: model.generate(**inputs, **stop)}
    return {name: fastest(synchronised(call), repeat) for name, call in calls.items()}


def machine(config: Qwen3VLConfig, tokens: int, repeat: int) -> dict[str, float]:
    """FLOP/s of a matmul of the decoder's shape, and bytes a second of a sum over 400 MB: the faster of both sides."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    random = np.random.RandomState(0)
    hidden, wide = config.text.hidden_size, config.text.intermediate_size
    x, w = random.randn(tokens, hidden).astype(np.float32), random.randn(hidden, wide).astype(np.float32)
    many = np.ones(100_000_000, np.float32)
    matmul, total = jax.jit(jnp.matmul), jax.jit(jnp.sum)

    def synchronised(function, *arrays):
        arrays = [torch.tensor(array, device=device) for array in arrays]

        def run():
            function(*arrays)
            if device == "cuda":
                torch.cuda.synchronize()

        return run

    def jitted(function, *arrays):
        arrays = jax.device_put(arrays)
        return lambda: jax.block_until_ready(function(*arrays))

    product = min(fastest(run, repeat) for run in (jitted(matmul, x, w), synchronised(torch.matmul, x, w)))
    read = min(fastest(run, repeat) for run in (jitted(total, many), synchronised(torch.sum, many)))
    return {"matmul_flops": 2.0 * tokens * hidden * wide / product, "read_bytes": many.nbytes / read}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("tiny", "100m"), default="tiny")
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--side", type=int, default=8, help="patches along each side of the image of a row")
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--peak-flops", type=float, help="of the device: MFU of forward and train step is told")
    options = parser.parse_args()
    if options.new_tokens < 2:
        parser.error(f"--new-tokens is {options.new_tokens}; from 2 on there is a token to decode")
    config = config_of(options.size)
    model = Qwen3VL(config, rngs=nnx.Rngs(0))
    samples = prompts(config, options.rows, options.length, options.side)
    mine = ours(config, model, samples, options.length, options.new_tokens, options.repeat)
    with tempfile.TemporaryDirectory() as folder:
        save_weights(Path(folder), model, jnp.float32)
        other = theirs(folder, config, samples, options.new_tokens, options.repeat)
    flops = forward_flops(config, options.rows, options.length, options.side**2)
    rates = machine(config, options.rows * options.length, 20)
    work = {"forward": flops, "train_step": 3 * flops}
    least = {name: amount / rates["matmul_flops"] for name, amount in work.items()}
    decoder = sum(x.nbytes for x in jax.tree.leaves(nnx.state(model.decoder))) + model.embed[...].nbytes
    read = forward_flops(config, options.rows, options.length, options.side**2, predicted=1) / rates["matmul_flops"]
    least["generation"] = read + (options.new_tokens - 1) * decoder / rates["read_bytes"]
    token = (mine["generation"] - mine["first_token"]) / (options.new_tokens - 1)
    out = {
        "settings": vars(options),
        "device": jax.devices()[0].device_kind,
        "seconds": {"jaxerm": mine, "transformers": other},
        "ratio": {name: other[name] / mine[name] for name in other},
        "machine": rates,
        "at_most": {name: other[name] / least[name] for name in other},
        "decode": {"seconds": token, "bandwidth_share": decoder / token / rates["read_bytes"]},
    }
    if options.peak_flops:
        out["mfu"] = {name: amount / mine[name] / options.peak_flops for name, amount in work.items()}
    print(json.dumps(out, indent=2))


if __name__ == "__main__":
    main()
