"""What is drawn is what the model says, whoever else is in the batch."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxerm.models.language import LanguageModel
from jaxerm.models.sampler import Sampling, forbidden_tokens, generate, row_keys
from jaxerm.train.losses import next_token_log_probs
from tests.models.harness import picture, question

N = 8
SHAPE = {"max_new_tokens": N, "length": 64, "patches": 64, "rows": 2}
"""Two prompts of at most 64 tokens and one image: one compilation for most of what follows."""
GREEDY = Sampling(0.0)
PENALISED = Sampling(0.8, min_p=0.05, repetition_penalty=1.2, presence_penalty=0.5)


@pytest.fixture(scope="module")
def prompts(small):
    return [
        small.processor.sample(question("What differs?", picture(0))),
        small.processor.sample(question("red")),
    ]


@pytest.fixture(scope="module")
def greedy(small, prompts):
    return small.answer(prompts, GREEDY, **SHAPE)


@pytest.fixture(scope="module")
def banned(small):
    return forbidden_tokens(small.config, small.processor.tokenizer)


def next_logits(forward, language, sample, tokens=()):
    """Logits behind a prompt and what was answered so far, by reading all of it again. float32[vocab]."""
    sample = sample.extended(tokens)
    inputs = language.batch([sample] * 2, length=64 + N, patches=64)
    return np.asarray(forward(language.graphdef, language.params, inputs))[0, len(sample.tokens) - 1]


def with_head(language, head):
    """The same model with other output embeddings, float32[hidden, vocab]; nothing is compiled anew."""
    module = nnx.clone(language.module)
    module.lm_head.kernel[...] = jnp.asarray(head)
    return LanguageModel(*nnx.split(module), language.processor)


def same(one, other):
    np.testing.assert_array_equal(one.tokens, other.tokens)
    np.testing.assert_array_equal(one.lengths, other.lengths)
    np.testing.assert_array_equal(one.finished, other.finished)
    np.testing.assert_allclose(one.log_probs, other.log_probs, atol=1e-4)


def row(generated, number):
    return jax.tree.map(lambda x: x[number : number + 1], generated)


def test_greedy_is_the_argmax_of_full_passes_without_a_cache(small, prompts, greedy, banned, forward):
    for number, sample in enumerate(prompts):
        tokens = []
        for step in range(int(greedy.lengths[number])):
            logits = np.where(banned, -np.inf, next_logits(forward, small, sample, tokens))
            tokens.append(int(logits.argmax()))
            expected = logits[tokens[-1]] - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
            assert abs(greedy.log_probs[number, step] - expected) < 1e-4
        assert greedy.tokens[number, : len(tokens)].tolist() == tokens
    assert len(set(greedy.tokens[0].tolist())) > 2, "an answer that repeats itself proves little"


@pytest.mark.parametrize(
    "sampling", [GREEDY, Sampling(1.0), Sampling(0.8, 0.9, 20), PENALISED], ids=["greedy", "plain", "cut", "penalised"]
)
def test_an_answer_does_not_depend_on_who_shares_the_batch(small, prompts, sampling):
    together = small.answer(prompts, sampling, seed=3, **SHAPE)
    with_itself = small.answer(prompts[:1] * 2, sampling, seed=3, **SHAPE)
    one_at_a_time = small.answer(prompts[:1], sampling, seed=3, **SHAPE)
    same(row(together, 0), row(with_itself, 0))
    same(row(together, 0), one_at_a_time)


def test_rows_and_seeds_draw_differently_and_repeat(small, prompts):
    sampling = Sampling(1.0)
    twice = small.answer(prompts[:1] * 2, sampling, seed=3, **SHAPE)
    assert twice.tokens[0].tolist() != twice.tokens[1].tolist()
    assert small.answer(prompts[:1] * 2, sampling, seed=4, **SHAPE).tokens.tolist() != twice.tokens.tolist()
    same(small.answer(prompts[:1] * 2, sampling, seed=3, **SHAPE), twice)


def test_samples_that_share_a_prefill_and_more_padding_equal_separate_runs(small, prompts, banned):
    keys = row_keys(5, np.arange(4))
    settings = Sampling(1.0).arrays()

    def draw(samples, keys, n, **shape):
        inputs = small.batch(samples, **shape)
        return generate(small.graphdef, small.params, inputs, banned, keys, settings, max_new_tokens=N, samples=n)

    shared = draw(prompts, keys, 2, length=96, patches=128)
    for prompt in range(2):
        mine = slice(2 * prompt, 2 * prompt + 2)
        alone = draw([prompts[prompt]] * 2, keys[mine], 1, length=64, patches=64)
        same(jax.tree.map(lambda x, mine=mine: x[mine], shared), alone)
    same(small.answer(prompts, Sampling(1.0), seed=5, n=2, **{**SHAPE, "length": 96, "patches": 128}), shared)


def test_one_bucket_compiles_once_whatever_is_asked_and_how_it_is_drawn(small, prompts, greedy):
    before = generate._cache_size()
    for sampling in (Sampling(1.0), Sampling(0.8, 0.9, 20), PENALISED):
        small.answer(prompts[::-1], sampling, seed=11, **SHAPE)
        small.answer(prompts[1:], sampling, seed=11, **SHAPE)
    assert generate._cache_size() == before
    shorter = small.processor.sample(question("?", picture(3)))
    assert len(shorter.tokens) < len(prompts[0].tokens)
    small.answer([shorter], GREEDY, **{**SHAPE, "length": None, "patches": None})
    assert generate._cache_size() == before


def test_other_parameters_write_their_own_answer_and_ours_come_back(small, prompts, greedy):
    other = jax.tree.map(lambda x: -x, small.params)
    theirs = small.answer(prompts, GREEDY, params=other, **SHAPE)
    assert theirs.tokens.tolist() != greedy.tokens.tolist()
    same(theirs, LanguageModel(small.graphdef, other, small.processor).answer(prompts, GREEDY, **SHAPE))
    same(small.answer(prompts, GREEDY, **SHAPE), greedy)
    # Parameters are rearranged once, not for every lot.
    assert small._for_writing(small.params) is small._for_writing(small.params)


def test_prompts_beyond_the_rows_of_a_lot_are_numbered_on(small, prompts):
    three = small.answer([prompts[1]] * 3, Sampling(1.0), seed=3, **SHAPE)
    assert len(three.tokens) == 3
    assert len({tuple(tokens) for tokens in three.tokens.tolist()}) == 3


def test_an_answer_stops_at_the_end_of_turn_and_the_others_go_on(small, prompts, greedy):
    tokens = greedy.tokens[0].tolist()
    end = next(token for token in tokens[1:] if token not in greedy.tokens[1])
    stop = tokens.index(end) + 1
    # What was the likeliest token is now the end of turn.
    head = np.array(small.module.lm_head.kernel[...])
    head[:, [end, small.config.eos_token_id]] = head[:, [small.config.eos_token_id, end]]
    tokens[stop - 1] = small.config.eos_token_id
    stopping = with_head(small, head)
    out = stopping.answer(prompts, GREEDY, **SHAPE)
    assert out.finished.tolist() == [True, False]
    assert out.lengths.tolist() == [stop, N]
    assert out.tokens[0].tolist() == tokens[:stop] + [small.config.pad_token_id] * (N - stop)
    assert (out.log_probs[0, stop:] == 0).all() and (out.log_probs[0, :stop] < 0).all()
    same(row(out, 1), row(greedy, 1))
    assert stopping.text(out)[0] == small.processor.decode(tokens[: stop - 1])


def test_banned_tokens_are_never_drawn_however_likely(small, prompts, banned, forward):
    config = small.config
    loud = [config.image_token_id, config.video_token_id]
    head = np.array(small.module.lm_head.kernel[...])
    # Opposite directions: whatever the hidden state, one of the two beats every other token by far.
    head[:, loud[0]], head[:, loud[1]] = 30 * head[:, 5], -30 * head[:, 5]
    tempting = with_head(small, head)
    for sampling in (GREEDY, Sampling(1.0), Sampling(1.0, 0.5), Sampling(1.0, top_k=3)):
        out = tempting.answer(prompts, sampling, **SHAPE)
        assert not banned[out.tokens].any()
        assert np.isfinite(out.log_probs).all()
    assert all(next_logits(forward, tempting, sample).argmax() in loud for sample in prompts)


def test_every_token_of_vision_and_ids_beyond_the_vocabulary_are_banned(small, banned):
    config, tokenizer = small.config, small.processor.tokenizer
    names = ("vision_start", "vision_end", "vision_pad", "image_pad", "video_pad")
    tokens = tokenizer.convert_tokens_to_ids([f"<|{name}|>" for name in names])
    assert {config.image_token_id, config.vision_start_token_id} < set(tokens)
    assert np.flatnonzero(banned).tolist() == sorted(tokens)
    wider = replace(config, text=replace(config.text, vocab_size=config.text.vocab_size + 3))
    assert forbidden_tokens(wider, tokenizer).tolist() == [*banned.tolist(), True, True, True]


@pytest.mark.parametrize("sampling", [Sampling(1.0, top_k=1), Sampling(1.0, top_p=1e-6)], ids=["top_k", "top_p"])
def test_the_narrowest_truncation_is_greedy(small, prompts, greedy, sampling):
    same(small.answer(prompts, sampling, seed=9, **SHAPE), greedy)


@pytest.fixture(scope="module")
def recompute(small, banned):
    def log_probs(params, inputs, temperature):
        return next_token_log_probs(nnx.merge(small.graphdef, params), inputs, temperature=temperature, banned=banned)

    return jax.jit(log_probs)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_log_probs_are_those_a_trainer_recomputes(small, prompts, recompute, temperature):
    out = small.answer(prompts, Sampling(temperature), seed=1, **SHAPE)
    longer = [
        sample.extended(tokens[:size]) for sample, tokens, size in zip(prompts, out.tokens, out.lengths, strict=True)
    ]
    inputs = small.batch(longer, length=64 + N, patches=64)
    recomputed = np.asarray(recompute(small.params, inputs, temperature))
    for number, sample in enumerate(prompts):
        start, size = len(sample.tokens), int(out.lengths[number])
        np.testing.assert_allclose(out.log_probs[number, :size], recomputed[number, start : start + size], atol=1e-4)


# Frequencies: one token behind a short prompt, drawn 2,000 times, all but six tokens banned.

DRAWS = 2000
FEW = np.arange(40, 46)


@pytest.fixture(scope="module")
def counts(small, prompts, forward):
    """(temperature, top_p, top_k) -> how often each of the six was drawn; and the logits they were drawn from."""
    sample = prompts[1]
    logits = next_logits(forward, small, sample)[FEW]
    all_but_few = ~np.isin(np.arange(small.config.text.vocab_size), FEW)

    def count(temperature, top_p, top_k, min_p=0.0):
        inputs = small.batch([sample], length=32, patches=0)
        out = generate(
            small.graphdef, small.params, inputs, all_but_few, row_keys(0, np.arange(DRAWS)),
            Sampling(temperature, top_p, top_k, min_p).arrays(), max_new_tokens=1, samples=DRAWS,
        )  # fmt: skip
        return (np.asarray(out.tokens) == FEW).sum(axis=0)

    return count, logits


def softmax(logits):
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def assert_drawn_from(counts, probabilities):
    """Within four standard deviations each; the seed is fixed, so this passes or fails for good."""
    spread = np.sqrt(DRAWS * probabilities * (1 - probabilities))
    assert counts.sum() == DRAWS
    assert (np.abs(counts - DRAWS * probabilities) <= 4 * spread + 1e-6).all(), (counts, DRAWS * probabilities)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_tokens_are_drawn_as_often_as_the_softmax_says(counts, temperature):
    count, logits = counts
    probabilities = softmax(logits / temperature)
    assert (probabilities > 0.01).sum() >= 3, "a softmax with one peak proves little"
    assert_drawn_from(count(temperature, 1.0, 0), probabilities)


def test_top_k_keeps_the_k_most_likely(counts):
    count, logits = counts
    probabilities = softmax(logits / 3)
    kept = np.argsort(-probabilities)[:3]
    expected = np.where(np.isin(np.arange(6), kept), probabilities, 0)
    assert_drawn_from(count(3.0, 1.0, 3), expected / expected.sum())


def test_top_p_keeps_the_smallest_set_that_holds_as_much(counts):
    count, logits = counts
    probabilities = softmax(logits / 3)
    order = np.argsort(-probabilities)
    three = probabilities[order[:3]].sum()
    for top_p, kept in ((three - 0.01, 3), (three + 0.01, 4)):
        expected = np.where(np.isin(np.arange(6), order[:kept]), probabilities, 0)
        assert_drawn_from(count(3.0, top_p, 0), expected / expected.sum())


def test_top_p_looks_at_what_top_k_has_left(counts):
    count, logits = counts
    probabilities = softmax(logits / 3)
    order = np.argsort(-probabilities)
    # Of the two that top-k leaves, the first alone holds less than 0.99 of their sum, and more than a little.
    first = probabilities[order[0]] / probabilities[order[:2]].sum()
    expected = np.zeros(6)
    expected[order[0]] = 1
    assert_drawn_from(count(3.0, first - 0.01, 2), expected)


def test_min_p_keeps_what_comes_near_enough_to_the_likeliest(counts):
    count, logits = counts
    probabilities = softmax(logits / 3)
    ranked = np.sort(probabilities)[::-1] / probabilities.max()
    for kept in (2, 4):
        expected = np.where(probabilities >= ranked[kept - 1] * probabilities.max() * 0.999, probabilities, 0)
        assert (expected > 0).sum() == kept
        assert_drawn_from(count(3.0, 1.0, 0, ranked[kept - 1] * 0.999), expected / expected.sum())


def penalised(logits, asked, answered, repetition, presence):
    """As written in the papers' words: tokens that were used, one by one."""
    out = logits.astype(np.float64).copy()
    for token in {*asked, *answered}:
        out[token] = out[token] / repetition if out[token] > 0 else out[token] * repetition
    for token in set(answered):
        out[token] -= presence
    return out


@pytest.mark.parametrize(("repetition", "presence"), [(1.5, 0.0), (1.0, 3.0), (1.3, -2.0)])
def test_penalties_change_the_logits_of_tokens_that_were_used(small, prompts, banned, forward, repetition, presence):
    sampling = Sampling(0.0, repetition_penalty=repetition, presence_penalty=presence)
    out = small.answer(prompts, sampling, **SHAPE)
    for number, sample in enumerate(prompts):
        tokens = []
        for step in range(int(out.lengths[number])):
            logits = np.where(banned, -np.inf, next_logits(forward, small, sample, tokens))
            logits = penalised(logits, sample.tokens.tolist(), tokens, repetition, presence)
            tokens.append(int(logits.argmax()))
            expected = logits[tokens[-1]] - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
            assert abs(out.log_probs[number, step] - expected) < 1e-4
        assert out.tokens[number, : len(tokens)].tolist() == tokens


def test_a_presence_penalty_ends_repetition(small, prompts):
    out = small.answer(prompts, Sampling(0.0, presence_penalty=1e6), **SHAPE)
    for tokens, length in zip(out.tokens, out.lengths, strict=True):
        assert len(set(tokens[:length].tolist())) == length


def test_any_of_several_stop_tokens_ends_an_answer(small, prompts, greedy):
    tokens = greedy.tokens[0].tolist()
    end = next(token for token in tokens[1:] if token not in greedy.tokens[1])
    stop = tokens.index(end) + 1
    module = nnx.clone(small.module)
    module.config = replace(small.config, other_stop_token_ids=(end,))
    out = LanguageModel(*nnx.split(module), small.processor).answer(prompts, GREEDY, **SHAPE)
    assert out.lengths.tolist() == [stop, N] and out.finished.tolist() == [True, False]
    assert out.tokens[0].tolist() == tokens[:stop] + [small.config.pad_token_id] * (N - stop)
    assert small.text(out)[0] == small.processor.decode(tokens[: stop - 1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_p": 1.1}, "top_p is 1.1"),
        ({"top_k": -1}, "top_k is -1"),
        ({"min_p": 1.5}, "min_p is 1.5"),
        ({"repetition_penalty": 0.0}, "repetition_penalty is 0.0"),
    ],
)
def test_settings_out_of_range_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**settings)
