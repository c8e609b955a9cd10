"""A chunk at a time is the whole: the same values and gradients, and less memory."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewvid.models.cross_entropy import AT_ONCE, chunk_of, cross_entropy

ROWS, ANSWERS, WIDTH, WORDS = 3, 10, 8, 50


def mean(hidden, head, target, chunk):
    scores = lambda part: jnp.matmul(part, head, preferred_element_type=jnp.float32)  # noqa: E731
    each, right = cross_entropy(hidden, target, scores, chunk)
    weight = jnp.arange(target.shape[1], dtype=jnp.float32)
    return (each * weight).mean(), right


def given(answers=ANSWERS, words=WORDS):
    rng = np.random.default_rng(0)
    hidden = jnp.asarray(rng.normal(size=(ROWS, answers, WIDTH)), jnp.float32)
    head = jnp.asarray(rng.normal(size=(WIDTH, words)), jnp.float32)
    return hidden, head, jnp.asarray(rng.integers(0, words, (ROWS, answers)))


@pytest.mark.parametrize("chunk", [1, 4, 5, 9])  # 4 and 9 do not divide the ten
def test_values_and_gradients_are_those_of_the_whole(chunk):
    both = jax.jit(jax.value_and_grad(mean, (0, 1), has_aux=True), static_argnums=3)
    (whole, right), gradients = both(*given(), ANSWERS)
    (value, also_right), others = both(*given(), chunk)
    np.testing.assert_allclose(value, whole, rtol=1e-6)
    np.testing.assert_array_equal(also_right, right)
    for one, other in zip(gradients, others, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-6)


def test_the_whole_is_never_in_memory():
    answers, words = 64, 20_000
    shapes = given(answers, words)

    def temporaries(chunk):
        step = jax.jit(jax.grad(partial(mean, chunk=chunk), (0, 1), has_aux=True))
        return step.lower(*shapes).compile().memory_analysis().temp_size_in_bytes

    whole = ROWS * answers * words * 4
    assert temporaries(answers) > whole
    assert temporaries(4) < whole / 4


def test_the_chunk_is_all_where_that_is_little():
    assert chunk_of(28, 256) == 28
    assert chunk_of(64, 32_064) == 64
    assert chunk_of(256, 32_064) == 64
    assert chunk_of(64, 151_936) == 13
    assert chunk_of(5, 2 * AT_ONCE) == 1
