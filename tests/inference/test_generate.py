"""The cached loop says what the whole model says without a cache, token by token."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewvid.inference import generate, parts
from fewvid.inference.generate import Draw
from fewvid.models import lvlm

EOS = 2
LENGTHS = (14, 9, 11)  # of the prompts; two frames of four visual tokens at the beginning of each


@pytest.fixture(scope="module")
def prompts(config):
    rng = np.random.default_rng(0)
    tokens = np.zeros((3, 16), np.int32)
    for row, length in enumerate(LENGTHS):
        tokens[row, :length] = rng.integers(5, config.decoder.vocab_size, length)
        tokens[row, 0], tokens[row, 1:9] = 1, 4
    pixels = rng.integers(0, 256, (3, 2, 32, 32, 3), dtype=np.uint8)
    times = np.tile(np.float32([0, 0.5]), (3, 1))
    return tokens, pixels, times


def start(config, params, prompts, rows=slice(None), length=32):
    """Logits after the prompts of some rows, the last index of each, and the cache."""
    tokens, pixels, times = (part[rows] for part in prompts)
    features = parts.encode(params, pixels, config=config)
    key = jax.random.key(0)
    chosen, _ = parts.select(
        params, features, times, key, None, config=config, keep=4, sampler="attention"
    )
    visual = parts.adapt(params, features, times, chosen, config=config)
    last = jnp.array(LENGTHS[rows]) - 1
    read = parts.read(params, visual, tokens, last, np.int32(4), config=config, length=length)
    return read[0], last, read[1]


def answers(config, params, prompts, rows=slice(None), max_tokens=12, eos=EOS, **draw):
    begun = start(config, params, prompts, rows)
    draw = Draw.of(eos, **draw)
    return np.asarray(generate.generate(config, params, *begun, max_tokens=max_tokens, draw=draw))


def step_by_step(config, params, prompts, row, count):
    """Greedy answers without a cache: the whole row is read again for every token."""
    tokens, pixels, times = (part[row : row + 1] for part in prompts)
    so_far = list(tokens[0, : LENGTHS[row]])
    for _ in range(count):
        padded = np.zeros((1, 32), np.int32)
        padded[0, : len(so_far)] = so_far
        batch = {
            "pixels": pixels,
            "times": times,
            "tokens": padded,
            "segments": np.ones_like(padded),
            "positions": np.arange(32, dtype=np.int32)[None],
            "answer_positions": np.array([[len(so_far) - 1]]),
        }
        so_far.append(int(next_token(params, batch, config=config)))
    return so_far[LENGTHS[row] :]


@partial(jax.jit, static_argnames=("config",))
def next_token(params, batch, *, config):
    return lvlm.answer_logits(config, params, batch, keep=4)[0, 0].argmax()


def test_greedy_equals_step_by_step_without_a_cache(config, params, prompts):
    got = answers(config, params, prompts, eos=-1)
    assert len(np.unique(got)) > 3  # else this would show little
    for row in range(3):
        assert got[row].tolist() == step_by_step(config, params, prompts, row, 12)


def test_rows_of_different_length_answer_as_if_alone(config, params, prompts):
    together = answers(config, params, prompts)
    for row in range(3):
        alone = answers(config, params, prompts, slice(row, row + 1))
        np.testing.assert_array_equal(together[row], alone[0])


def test_each_row_stops_at_its_eos(config, params, prompts):
    free = answers(config, params, prompts, eos=-1)
    eos = int(free[0, 3])
    got = answers(config, params, prompts, eos=eos)
    for row in range(3):
        hits = np.flatnonzero(free[row] == eos)
        end = hits[0] if len(hits) else 12
        assert got[row, :end].tolist() == free[row, :end].tolist()
        assert (got[row, end:] == eos).all()


def test_the_loop_stops_when_every_row_has_ended(config, params, prompts):
    begun = start(config, params, prompts, slice(0, 1))
    first = int(np.asarray(begun[0]).argmax())
    draw = Draw.of(first)
    state = generate.begin(*begun, draw)
    _, after = generate.extend(params, state, draw, config=config, count=12)
    assert int(after.step) == 1


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_streaming_gives_the_same_tokens(config, params, prompts, temperature):
    whole = answers(config, params, prompts, eos=-1, temperature=temperature, seed=3)
    draw = Draw.of(-1, temperature, 3)
    begun = start(config, params, prompts)
    pieces = list(generate.stream(config, params, *begun, max_tokens=12, draw=draw, chunk=5))
    assert [piece.shape[1] for piece in pieces] == [1, 5, 5, 1]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole)


def test_temperature_is_decided_by_the_seed(config, params, prompts):
    first, again, other = (
        answers(config, params, prompts, eos=-1, temperature=1.5, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.3


def test_a_single_token(config, params, prompts):
    assert answers(config, params, prompts, max_tokens=1).shape == (3, 1)
