"""Tokens of CLIP's and SigLIP's vision towers, as transformers' own code gives them."""

import dataclasses
from functools import partial

import jax
import numpy as np
import pytest

from fewvid.checkpoints import importing
from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig
from tests.checkpoints.conftest import TOWER

pytestmark = pytest.mark.parity
CLOSE = 1e-4
CASES = {
    "clip": ("CLIPVision", {}),
    "clip-odd-image": ("CLIPVision", {"image_size": 30, "patch_size": 7}),
    "clip-gelu-eps": ("CLIPVision", {"hidden_act": "gelu", "layer_norm_eps": 1e-2}),
    "siglip": ("SiglipVision", {}),
    "siglip-odd-image": ("SiglipVision", {"image_size": 45, "patch_size": 14}),
    "siglip-no-head": ("SiglipVision", {"vision_use_head": False, "num_attention_heads": 2}),
}


def make(hf, family, options):
    return getattr(hf, f"{family}Model")(getattr(hf, f"{family}Config")(**(TOWER | options)))


def pictures(size):
    return np.random.default_rng(0).integers(0, 256, (1, 2, size, size, 3), np.uint8)


def theirs(model, pixels, encoder):
    """The tokens that models built on a tower take: CLIP's next to last layer, SigLIP's output."""
    import torch

    x = (pixels[0] / 255 - np.array(encoder.mean)) / np.array(encoder.std)
    given = torch.tensor(x.transpose(0, 3, 1, 2), dtype=torch.float32)
    with torch.no_grad():
        out = model(pixel_values=given, output_hidden_states=True)
    return (out.hidden_states[-2][:, 1:] if encoder.cls_token else out.last_hidden_state).numpy()


def ours(encoder, tensors, in_memory, pixels):
    config = dataclasses.replace(LvlmConfig.tiny(), encoder=encoder)
    return jax.jit(partial(lvlm.encode, config))(in_memory(tensors), pixels)


@pytest.mark.parametrize("name", CASES)
def test_tokens_are_those_of_transformers(name, hf, written, in_memory):
    model = make(hf, *CASES[name])
    encoder, tensors, notes = importing.vision_tower(written(model))
    assert bool(notes) == ("clip" in name)  # whose last layer is left out
    pixels = pictures(encoder.image_size)
    found = ours(encoder, tensors, in_memory, pixels)
    wanted = theirs(model, pixels, encoder)
    assert found.tokens.shape == (1, 2, encoder.tokens, 32)
    assert wanted.std() > 0.5
    assert np.abs(found.tokens[0] - wanted).max() < CLOSE
    np.testing.assert_allclose(found.response.sum(-1), 1, atol=1e-5)


def test_a_tower_beside_a_tower_of_text(hf, written, in_memory):
    """The names that published repositories have, `vision_model.`, and much that is not read."""
    text = {**TOWER, "vocab_size": 99, "num_hidden_layers": 1}
    text = {key: value for key, value in text.items() if key not in ("image_size", "patch_size")}
    model = hf.CLIPModel(hf.CLIPConfig(vision_config=TOWER, text_config=text))
    encoder, tensors, _ = importing.vision_tower(written(model))
    pixels = pictures(encoder.image_size)
    found = ours(encoder, tensors, in_memory, pixels)
    wanted = theirs(model.vision_model, pixels, encoder)
    assert np.abs(found.tokens[0] - wanted).max() < CLOSE


def test_shards_and_halves(hf, written, in_memory):
    import torch

    model = make(hf, "SiglipVision", {}).to(torch.bfloat16)
    folder = written(model, max_shard_size="20KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    encoder, tensors, _ = importing.vision_tower(folder)
    assert {tensor.dtype.name for tensor in tensors.values()} == {"bfloat16"}
    pixels = pictures(encoder.image_size)
    found = ours(encoder, tensors, in_memory, pixels)
    assert np.abs(found.tokens[0] - theirs(model.float(), pixels, encoder)).max() < CLOSE
