"""Sampling from the weights that are being trained: one prefill, then a decode loop that ends when every row has.

Compiled once for each (rows, prompt length, patches, new tokens); temperature and the rest are data, not code.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxerm.models.qwen3_vl.config import Qwen3VLConfig
from jaxerm.models.qwen3_vl.inputs import Inputs
from jaxerm.models.qwen3_vl.model import Cache, Qwen3VL

_VISION = ("<|vision_", "<|image_", "<|video_")


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn: penalties, then temperature, then top-k, top-p and min-p, in Hugging Face's order.

    Attributes:
      temperature: 0 takes the most likely token.
      top_p: smallest set of tokens that holds this much probability; 1 keeps all.
      top_k: the k most likely tokens; 0 keeps all.
      min_p: tokens with at least this share of the likeliest one's probability; 0 keeps all.
      repetition_penalty: divides positive logits, and multiplies negative ones, of tokens of prompt and answer
        (Keskar et al. 2019); 1 does nothing.
      presence_penalty: taken off the logits of tokens that the answer holds already; 0 does nothing.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0

    def __post_init__(self):
        if self.temperature < 0:
            raise ValueError(f"temperature is {self.temperature}; it is 0 (greedy) or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; it lies above 0 and at most at 1")
        if self.top_k < 0:
            raise ValueError(f"top_k is {self.top_k}; it is 0 (all) or more")
        if not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p is {self.min_p}; it lies between 0 (all) and 1")
        if self.repetition_penalty <= 0:
            raise ValueError(f"repetition_penalty is {self.repetition_penalty}; it lies above 0, and 1 does nothing")

    def arrays(self) -> dict[str, jax.Array]:
        """The settings as data of a compiled program: scalars by name."""
        return {
            field.name: jnp.asarray(getattr(self, field.name), jnp.int32 if field.name == "top_k" else jnp.float32)
            for field in fields(self)
        }


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Generated:
    """What was drawn.

    Attributes:
      tokens: int32[B, N], pad behind the end.
      log_probs: float32[B, N], of each token under the tempered softmax over all allowed tokens (penalties in, top-k,
        top-p and min-p not), 0 behind the end.
      lengths: int32[B], tokens drawn, the stop token included.
      finished: bool[B], whether a stop token was drawn.
    """

    tokens: jax.Array
    log_probs: jax.Array
    lengths: jax.Array
    finished: jax.Array


def forbidden_tokens(config: Qwen3VLConfig, tokenizer: Any) -> np.ndarray:
    """bool[vocab_size], true at tokens an answer may never hold.

    A sampled image pad would ask for an image that is not there; ids beyond the tokenizer's vocabulary mean nothing.
    The config knows the pads and the marks around them, the tokenizer its other tokens of that kind (`_VISION`).

    Args:
      tokenizer: Hugging Face's, or whatever has its `len` and its `get_added_vocab`.
    """
    banned = np.arange(config.text.vocab_size) >= len(tokenizer)
    banned[[config.image_token_id, config.video_token_id]] = True
    banned[[config.vision_start_token_id, config.vision_end_token_id]] = True
    banned[[token for name, token in tokenizer.get_added_vocab().items() if name.startswith(_VISION)]] = True
    return banned


def _penalise(
    logits: jax.Array, answered: jax.Array, asked: jax.Array, repetition: jax.Array, presence: jax.Array
) -> jax.Array:
    """Makes tokens that were used less likely. logits float32[B, V]; answered and asked bool[B, V]."""
    softer = jnp.where(logits > 0, logits / repetition, logits * repetition)
    return jnp.where(answered | asked, softer, logits) - presence * answered


def _truncate(logits: jax.Array, top_p: jax.Array, top_k: jax.Array, min_p: jax.Array) -> jax.Array:
    """Sets everything outside top-k, top-p and min-p to -inf. logits float32[B, V]."""
    ranked = jnp.sort(logits, axis=-1, descending=True)
    kept = jnp.where(top_k > 0, top_k, logits.shape[-1])
    # top-p looks at what top-k has left, as Hugging Face and vLLM do.
    ranked = jnp.where(jnp.arange(logits.shape[-1]) < kept, ranked, -jnp.inf)
    probabilities = jax.nn.softmax(ranked, axis=-1)
    before = jnp.cumsum(probabilities, axis=-1) - probabilities
    inside = (before < top_p) & jnp.isfinite(ranked)
    threshold = jnp.min(jnp.where(inside, ranked, jnp.inf), axis=-1, keepdims=True)
    threshold = jnp.maximum(threshold, ranked[:, :1] + jnp.log(min_p))
    return jnp.where(logits >= threshold, logits, -jnp.inf)


def prefill(model: Qwen3VL, inputs: Inputs, *, room: int, samples: int = 1) -> tuple[jax.Array, jax.Array, Cache]:
    """Reads each prompt once, for `samples` answers of at most `room` tokens.

    Returns:
      Of each of the B * samples answers: the hidden state of the prompt's last token, float[R, H]; the position of the
      answer's first, int32[R]; the cache with what was read and room behind.
    """
    batch, length = inputs.tokens.shape
    hidden, cache = model.hidden_states(inputs, model.empty_cache(batch, length + room))
    last = jnp.sum(inputs.segment_ids > 0, axis=1) - 1
    hidden = jnp.take_along_axis(hidden, last[:, None, None], axis=1)[:, 0]
    start = jnp.take_along_axis(jnp.max(inputs.positions, axis=1), last[:, None], axis=1)[:, 0] + 1

    def copies(x, axis=0):
        return jnp.repeat(x, samples, axis=axis)

    cache = Cache(copies(cache.key, 1), copies(cache.value, 1), copies(cache.segment_ids))
    return copies(hidden), copies(start), model.in_place(cache)


@partial(jax.jit, static_argnames=("graphdef", "max_new_tokens", "samples"))
def generate(
    graphdef: nnx.GraphDef,
    params: Any,
    inputs: Inputs,
    banned: jax.Array,
    row_keys: jax.Array,
    sampling: dict[str, jax.Array],
    *,
    max_new_tokens: int,
    samples: int = 1,
    rearranged: tuple[nnx.GraphDef, Any] | None = None,
) -> Generated:
    """Continues every prompt `samples` times; the copies share one prefill.

    Args:
      graphdef, params: the model.
      inputs: the prompts, padded at the end, one a row.
      banned: bool[vocab], see `forbidden_tokens`.
      row_keys: a key for each of the B * samples answers. Together with the prompt it decides the answer: who else is
        in the batch does not.
      sampling: see `Sampling.arrays`.
      max_new_tokens: N.
      samples: answers a prompt; answer i of prompt b stands in row b * samples + i.
      rearranged: the same model as `rearrange` leaves it, to write with; None if it is to write as it reads.
    """
    model = nnx.merge(graphdef, params)
    config: Qwen3VLConfig = model.config
    stops = jnp.asarray(config.stop_token_ids)
    batch, length = inputs.tokens.shape
    hidden, start, cache = prefill(model, inputs, room=max_new_tokens, samples=samples)
    if rearranged is not None:
        model = nnx.merge(*rearranged)
    rows = batch * samples
    each = jnp.arange(rows)
    temperature, cuts = sampling["temperature"], [sampling[name] for name in ("top_p", "top_k", "min_p")]
    repetition, presence = sampling["repetition_penalty"], sampling["presence_penalty"]
    asked = jnp.zeros((batch, len(banned)), bool)
    asked = asked.at[jnp.arange(batch)[:, None], inputs.tokens].max(inputs.segment_ids > 0)
    asked = jnp.repeat(asked, samples, axis=0)

    def draw(hidden, step, answered):
        logits = jnp.where(banned, -jnp.inf, model.unembed(hidden))
        logits = jax.lax.cond(
            (repetition == 1) & (presence == 0),
            lambda: logits,
            lambda: _penalise(logits, answered, asked, repetition, presence),
        )
        tempered = logits / jnp.maximum(temperature, 1e-6)

        def sampled():
            keys = jax.vmap(jax.random.fold_in, (0, None))(row_keys, step)
            noise = jax.vmap(lambda key: jax.random.gumbel(key, logits.shape[1:]))(keys)
            plain = (cuts[0] >= 1) & (cuts[1] == 0) & (cuts[2] == 0)
            kept = jax.lax.cond(plain, lambda: tempered, lambda: _truncate(tempered, *cuts))
            return jnp.argmax(kept + noise, axis=-1)

        greedy = temperature == 0
        token = jax.lax.cond(greedy, lambda: jnp.argmax(logits, axis=-1), sampled).astype(jnp.int32)
        log_probs = jax.nn.log_softmax(jnp.where(greedy, logits, tempered), axis=-1)
        return token, jnp.take_along_axis(log_probs, token[:, None], axis=1)[:, 0]

    def record(step, hidden, state):
        """Draws the token at `step` of each row that is not done."""
        done, tokens, log_probs, lengths, answered = state
        token, log_prob = draw(hidden, step, answered)
        token = jnp.where(done, config.pad_token_id, token)
        tokens = tokens.at[:, step].set(token)
        log_probs = log_probs.at[:, step].set(jnp.where(done, 0.0, log_prob))
        answered = answered.at[each, token].set(True)
        return token, (done | jnp.isin(token, stops), tokens, log_probs, lengths + ~done, answered)

    def running(loop):
        step, _, _, (done, *_) = loop
        return (step + 1 < max_new_tokens) & ~jnp.all(done)

    def advance(loop):
        # The last token of an answer is drawn, but never read.
        step, token, cache, state = loop
        hidden, cache = model.decode(token, start + step, length + step, cache)
        token, state = record(step + 1, hidden, state)
        return step + 1, token, cache, state

    nothing = (
        jnp.zeros(rows, bool),
        jnp.full((rows, max_new_tokens), config.pad_token_id, jnp.int32),
        jnp.zeros((rows, max_new_tokens), jnp.float32),
        jnp.zeros(rows, jnp.int32),
        jnp.zeros((rows, len(banned)), bool),
    )
    first, state = record(jnp.int32(0), hidden, nothing)
    *_, state = jax.lax.while_loop(running, advance, (jnp.int32(0), first, cache, state))
    done, tokens, log_probs, lengths, _ = state
    return Generated(tokens, log_probs, lengths, done)


@partial(jax.jit, static_argnames=("graphdef",))
def rearrange(graphdef: nnx.GraphDef, params: Any) -> tuple[nnx.GraphDef, Any]:
    """The model as a CPU writes fast with it, see `Qwen3VL.rearrange`; the decoder is in memory twice then."""
    model = nnx.merge(graphdef, params)
    model.rearrange()
    return nnx.split(model)


def row_keys(seed: int, rows: np.ndarray) -> jax.Array:
    """A key for each row number: the same row number and seed, the same answer."""
    return jax.vmap(lambda row: jax.random.fold_in(jax.random.key(seed), row))(jnp.asarray(rows, jnp.uint32))
