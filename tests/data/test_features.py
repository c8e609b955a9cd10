"""Cached features are the encoder's, row by row, within float16."""

import json

import numpy as np
import pytest

from fewvid.data.features import FeatureStore
from fewvid.data.loader import eval_batches, train_iterator
from fewvid.data.manifest import group_by_media, read_manifest
from fewvid.data.media import BadSamples
from fewvid.data.mixtures import Source
from fewvid.errors import UserError


def encode(pixels):
    """Two tokens of width 3 a frame, from the frame's mean."""
    mean = pixels.astype(np.float32).mean((2, 3, 4)) / 7
    tokens = mean[..., None, None] + np.arange(6).reshape(2, 3)
    return tokens, tokens.sum(-1)


@pytest.fixture
def manifests(tmp_path, write_images, write_videos):
    return [write_images(tmp_path / "i", 5), write_videos(tmp_path / "v", 4, length=6)]


def groups_of(manifests):
    return [group for manifest in manifests for group in group_by_media(read_manifest(manifest))]


def test_batches_carry_what_the_encoder_gives(manifests, shape, chat):
    progress = []
    store = FeatureStore.build(
        groups_of(manifests), shape, encode, lambda *at: progress.append(at), batch_frames=4
    )
    assert progress[-1] == (9, 9)
    assert store.nbytes == (5 + 4 * 3) * (2 * 3 * 2 + 2 * 4)
    sources = [Source(manifest) for manifest in manifests]
    cached = train_iterator(sources, shape, chat, seed=1, features=store)
    plain = train_iterator(sources, shape, chat, seed=1)
    for _ in range(3):
        one, other = next(cached), next(plain)
        tokens, response = encode(other.pop("pixels"))
        mask = other["frame_mask"]
        assert one["feature_tokens"].dtype == np.float16
        assert one["feature_response"].dtype == np.float32
        np.testing.assert_allclose(one.pop("feature_tokens")[mask], tokens[mask], rtol=1e-3)
        np.testing.assert_allclose(one.pop("feature_response")[mask], response[mask], rtol=1e-6)
        for key, value in other.items():
            np.testing.assert_array_equal(one[key], value, err_msg=key)


def test_without_a_report_a_bad_file_is_warned_of_once(manifests, shape, chat, caplog):
    (manifests[0].parent / "001.png").write_bytes(b"")
    store = FeatureStore.build(groups_of(manifests[:1]), shape, encode)
    asked = list(eval_batches(read_manifest(manifests[0]), shape, chat, features=store))
    assert sum(len(row) for _, rows in asked for row in rows) == 4 * 3
    (line,) = caplog.messages
    assert line.startswith("1 of 5 media files could not be read: ")


def test_text_goes_with_features(manifests, tmp_path, record, shape, chat):
    (tmp_path / "text.json").write_text(json.dumps([record(0, "how many?", "two")]))
    store = FeatureStore.build(groups_of(manifests), shape, encode)
    batch, _ = next(
        eval_batches(read_manifest(tmp_path / "text.json"), shape, chat, features=store)
    )
    assert batch["feature_tokens"].shape == (4, 3, 2, 3)
    assert not batch["frame_mask"].any()


def test_too_much_memory_is_said_before_it_is_taken(manifests, shape):
    calls = []

    def once(pixels):
        calls.append(1)
        return encode(pixels)

    with pytest.raises(UserError, match=r"17 frames takes .* cache_features=False"):
        FeatureStore.build(groups_of(manifests), shape, once, batch_frames=4, limit_bytes=300)
    assert len(calls) < 3


def test_values_that_float16_cannot_hold_are_refused(manifests, shape):
    with pytest.raises(UserError, match="float16"), np.errstate(over="ignore"):
        FeatureStore.build(groups_of(manifests), shape, lambda p: [1e6 * a for a in encode(p)])


def test_a_bad_file_is_reported_and_replaced(manifests, shape, chat):
    (manifests[0].parent / "001.png").write_bytes(b"")
    report = BadSamples()
    store = FeatureStore.build(groups_of(manifests), shape, encode, report=report)
    assert len(report.reasons) == 1
    iterator = train_iterator([Source(manifests[0])], shape, chat, seed=1, features=store)
    assert 1 not in np.concatenate([next(iterator)["sample"] for _ in range(3)])
