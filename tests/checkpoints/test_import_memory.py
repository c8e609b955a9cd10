"""What import and export hold in memory: a few arrays of a file, however many the model has."""

import tracemalloc

import jax
import numpy as np
import pytest

from fewvid.checkpoints import exporting, importing, model_directory
from fewvid.checkpoints.tensors import TensorFiles
from fewvid.data.tokenizer import train_tokenizer
from fewvid.models import lvlm
from fewvid.models.config import (
    AdapterConfig,
    DecoderConfig,
    EncoderConfig,
    LvlmConfig,
    SamplerConfig,
)

ARRAYS = 3  # as it is read, as it is turned, and one to spare
OTHERS = 2 * 2**20  # bytes of what is no array: names, JSON, a tokenizer


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A directory of 75 MB, of which no array is larger than 1.5 MB in a file of theirs."""
    encoder = EncoderConfig(
        image_size=32, width=64, depth=2, heads=2, cls_token=False, post_norm=False, fit="bicubic"
    )
    decoder = DecoderConfig(
        vocab_size=1000, width=256, depth=16, heads=4, kv_heads=4, head_dim=64, mlp_width=1408
    )
    config = LvlmConfig(
        encoder,
        SamplerConfig(response="encoder"),
        AdapterConfig(queries="projector", width=256),
        decoder,
    )
    shapes = jax.eval_shape(lambda: lvlm.init(config, jax.random.key(0)))
    params = jax.tree.map(lambda x: np.ones(x.shape, np.float32), shapes)
    params["adapter"]["time"]["kernel"][:] = 0
    tokenizer = train_tokenizer(["which way"], 900)
    folder = tmp_path_factory.mktemp("models")
    return model_directory.save(
        folder / "model", config=config, params=params, tokenizer=tokenizer, card=""
    )


def peak(function):
    tracemalloc.start()
    function()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def test_an_import_and_an_export_hold_a_few_arrays_at_a_time(model, tmp_path):
    out = tmp_path / "hf"
    assert exporting.export(str(model), out) == "LlavaForConditionalGeneration"
    theirs = TensorFiles(out)
    sizes = [tensor.nbytes for tensor in theirs.values()]
    assert sum(sizes) > 70e6
    assert max(sizes) < 1.5e6
    bound = ARRAYS * max(sizes) + OTHERS
    assert bound < sum(sizes) / 10
    found = importing.whole(str(out))  # headers are read here, arrays are not
    assert peak(lambda: found.save(tmp_path / "again")) < bound
    whole = lambda: model_directory.load_weights(tmp_path / "again")  # noqa: E731
    assert peak(whole) > sum(sizes)  # what holds all of them is seen
    again = tmp_path / "hf-again"
    assert peak(lambda: exporting.export(str(tmp_path / "again"), again)) < bound
