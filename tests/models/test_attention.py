"""Who may look at whom."""

import numpy as np

from fewvid.models.attention import attention, probabilities, segment_mask


def test_the_mask_of_packed_turns():
    mask = np.asarray(segment_mask(np.array([[1, 1, 2, 2, 3, 3, 0, 0]])))[0, 0]
    assert ["".join(".x"[int(seen)] for seen in row) for row in mask] == [
        "x.......",
        "xx......",
        "xxx.....",
        "xxxx....",
        "xx..x...",
        "xx..xx..",
        "......x.",
        "......xx",
    ]


def test_grouped_queries_share_keys_in_order():
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(1, 5, h, 4)).astype(np.float32) for h in (4, 2, 2))
    repeated = [np.repeat(x, 2, axis=2) for x in (k, v)]
    np.testing.assert_allclose(attention(q, k, v), attention(q, *repeated), atol=1e-6)
    weights = np.asarray(probabilities(q, repeated[0]))
    expected = np.einsum("bhst,bthd->bshd", weights, repeated[1])
    np.testing.assert_allclose(attention(q, k, v), expected, atol=1e-6)


def test_a_row_that_sees_nothing_stays_finite():
    q = np.ones((1, 2, 1, 4), np.float32)
    assert np.isfinite(attention(q, q, q, mask=np.zeros((1, 1, 2, 2), bool))).all()


def test_a_bias_weighs_the_keys():
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(2, 5, 2, 4)).astype(np.float32) for _ in range(3))
    weights = rng.uniform(0.1, 3, (2, 5)).astype(np.float32)
    bias = np.log(weights)[:, None, None]
    expected = np.asarray(probabilities(q, k)) * weights[:, None, None]
    expected /= expected.sum(-1, keepdims=True)
    np.testing.assert_allclose(probabilities(q, k, bias), expected, rtol=1e-5)
    read = np.einsum("bhst,bthd->bshd", expected, v)
    np.testing.assert_allclose(attention(q, k, v, bias=bias), read, atol=1e-5)
