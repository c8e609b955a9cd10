"""Models of real sizes beside transformers' own code in bfloat16: weights are random, shapes not.

On one large GPU (45 GiB of it, 30 of disk), where torch has CUDA as well:

  FEWVID_TESTS_ON=cuda XLA_PYTHON_CLIENT_PREALLOCATE=false python -m pytest -s \\
    tests/checkpoints/test_full_size.py
"""

import dataclasses

import jax
import pytest

from fewvid.bench.peer.device import Device
from fewvid.bench.sizes import CLIP_L_14_336, QWEN_0_5B, SIGLIP_SO400M, TINY, VICUNA_7B
from fewvid.checkpoints import importing, verify
from fewvid.checkpoints.families import decoders, encoders, llava
from fewvid.models.config import AdapterConfig, LvlmConfig, SamplerConfig

pytestmark = pytest.mark.parity
CLOSE = 1e-3  # nats
FARTHER = 1.25  # one rounding beside another
QWEN_7B = dataclasses.replace(
    QWEN_0_5B,
    vocab_size=152_064,
    width=3584,
    depth=28,
    heads=28,
    kv_heads=4,
    head_dim=128,
    mlp_width=18_944,
    tie_embeddings=False,
)
LARGE = pytest.mark.skipif(
    jax.default_backend() != "gpu", reason="a model of real size needs a GPU"
)


def whole(encoder, decoder):
    adapter = AdapterConfig(queries="projector", width=decoder.width)
    return LvlmConfig(encoder, SamplerConfig(response="encoder"), adapter, decoder)


WHOLE = {
    "tiny": TINY,
    "clip-l-14-336, vicuna-7b": whole(CLIP_L_14_336, VICUNA_7B),
}
PARTS = {
    "tiny": (TINY.encoder, TINY.decoder),
    "siglip-so400m, qwen2-0.5b": (SIGLIP_SO400M, QWEN_0_5B),
    "siglip-so400m, qwen2-7b": (SIGLIP_SO400M, QWEN_7B),
}


def large(names):
    return [name if name == "tiny" else pytest.param(name, marks=LARGE) for name in names]


def save(values, folder, tokenizer):
    """A model of transformers with random weights, written in bfloat16."""
    model = Device("bfloat16").model(values)
    model.save_pretrained(folder, max_shard_size="2GB")
    tokenizer.save_pretrained(folder)
    del model


def is_no_farther_than_rounding(found):
    """Whether ours is from their model in float32 about as far as 16 bits take theirs from it."""
    theirs, ours = found.rounding
    return 0 < ours < FARTHER * theirs


@pytest.mark.parametrize("name", large(WHOLE))
def test_a_llava(name, hf, tmp_path, tokenizer):
    config, folder = WHOLE[name], tmp_path / "hf"
    save(llava.write_config(config) | {"image_token_index": 4}, folder, tokenizer)
    ours = importing.whole(str(folder)).save(tmp_path / "ours")
    (found,) = verify.compare(str(ours), str(folder), dtype="bfloat16")
    print(f"\n{name}: {found}")
    assert found.spread > 0.01
    assert is_no_farther_than_rounding(found)
    assert 0 <= found.kl < CLOSE


@pytest.mark.parametrize("name", large(PARTS))
def test_an_encoder_and_a_language_model(name, hf, tmp_path, tokenizer):
    encoder, decoder = PARTS[name]
    save(encoders.write_config(encoder), tmp_path / "encoder", tokenizer)
    save(decoders.write_config(decoder), tmp_path / "llm", tokenizer)
    made = importing.from_parts(str(tmp_path / "encoder"), str(tmp_path / "llm"))
    ours = made.save(tmp_path / "ours")
    for part in ("encoder", "llm"):
        (found,) = verify.compare(str(ours), str(tmp_path / part), dtype="bfloat16")
        print(f"\n{name}: {found}")
        assert is_no_farther_than_rounding(found)
        if part == "llm":
            assert 0 <= found.kl < CLOSE
        else:
            assert found.largest < 0.1 * max(found.spread, 1)
