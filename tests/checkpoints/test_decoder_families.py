"""Logits of Llama, Mistral, Qwen2 and Qwen3, as transformers' own code gives them."""

import dataclasses
from functools import partial

import jax
import numpy as np
import pytest

from fewvid.checkpoints import importing
from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig
from tests.checkpoints.conftest import LLM

pytestmark = pytest.mark.parity
CLOSE = 1e-4
LENGTH = 40
SHORT = {"max_position_embeddings": 16}  # what scalings stretch
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}
YARN |= {"original_max_position_embeddings": 16}

CASES = {
    "llama": ("Llama", {}),
    "llama-linear": ("Llama", {"rope_parameters": {"rope_type": "linear", "factor": 2.5}}),
    "llama-dynamic": (
        "Llama",
        SHORT | {"rope_parameters": {"rope_type": "dynamic", "factor": 3.0}},
    ),
    "llama3-tied": ("Llama", {"rope_parameters": LLAMA3, "tie_word_embeddings": True}),
    "llama-yarn": ("Llama", {"rope_parameters": YARN}),
    "llama-biases": ("Llama", {"attention_bias": True, "mlp_bias": True, "head_dim": 10}),
    "mistral": ("Mistral", {"sliding_window": 7}),
    "mistral-odd-heads": (
        "Mistral",
        {
            "num_attention_heads": 6,
            "num_key_value_heads": 3,
            "head_dim": 10,
            "sliding_window": None,
        },
    ),
    "mistral-linear-tied": (
        "Mistral",
        {
            "rope_parameters": {"rope_type": "linear", "factor": 1.5},
            "tie_word_embeddings": True,
            "num_key_value_heads": 1,
        },
    ),
    "qwen2": (
        "Qwen2",
        {"tie_word_embeddings": True, "num_key_value_heads": 1, "rms_norm_eps": 1e-2},
    ),
    "qwen2-yarn": ("Qwen2", {"rope_parameters": YARN | {"beta_fast": 8, "attention_factor": 1.2}}),
    "qwen2-window": (
        "Qwen2",
        {"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 0},
    ),
    "qwen3": ("Qwen3", {"head_dim": 16}),
    "qwen3-odd-heads": (
        "Qwen3",
        {"head_dim": 10, "num_attention_heads": 6, "num_key_value_heads": 3},
    ),
    "qwen3-tied-biases": ("Qwen3", {"tie_word_embeddings": True, "attention_bias": True}),
}


def make(hf, family, options):
    config = getattr(hf, f"{family}Config")(**(LLM | options))
    return getattr(hf, f"{family}ForCausalLM")(config)


def theirs(model, tokens):
    import torch

    with torch.no_grad():
        return model(input_ids=torch.tensor(tokens)).logits.float().numpy()


def ours(config, params, tokens):
    """float32[B,L,V] of whole rows."""
    at = np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape)
    batch = {"tokens": tokens, "segments": np.ones_like(tokens), "positions": at}
    batch["answer_positions"] = at
    return np.asarray(jax.jit(lambda p, b: lvlm.answer_logits(config, p, b))(params, batch))


@pytest.fixture(scope="module")
def tokens():
    return np.random.default_rng(0).integers(5, LLM["vocab_size"], (2, LENGTH))


def read(folder, in_memory):
    decoder, tensors = importing.language_model(folder)
    return dataclasses.replace(LvlmConfig.tiny(), decoder=decoder), in_memory(tensors)


@pytest.mark.parametrize("name", CASES)
def test_logits_are_those_of_transformers(name, hf, written, in_memory, tokens):
    model = make(hf, *CASES[name])
    folder = written(model)
    config, params = read(folder, in_memory)
    wanted = theirs(model, tokens)
    assert wanted.std() > 0.5
    found = ours(config, params, tokens)
    assert np.abs(found - wanted).max() < CLOSE


@pytest.mark.parametrize(
    "changed",
    [
        {"window": None},
        {"rope_theta": 5e3},
        {"norm_eps": 0.3},
    ],
)
def test_a_setting_that_is_wrong_would_be_seen(hf, written, in_memory, tokens, changed):
    model = make(hf, "Mistral", {"sliding_window": 7})
    config, params = read(written(model), in_memory)
    config = dataclasses.replace(config, decoder=dataclasses.replace(config.decoder, **changed))
    found = ours(config, params, tokens)
    assert np.abs(found - theirs(model, tokens)).max() > 100 * CLOSE


def test_a_window_looks_at_the_places_of_a_cache_as_at_those_of_a_row(
    hf, written, in_memory, tokens
):
    config, params = read(written(make(hf, *CASES["mistral"])), in_memory)
    wanted = ours(config, params, tokens)
    cache = lvlm.new_cache(config, 2, LENGTH)
    step = jax.jit(partial(lvlm.decode_step, config))
    for i in range(LENGTH):
        found, cache = step(params, tokens[:, i], np.full(2, i), cache)
        np.testing.assert_allclose(found, wanted[:, i], atol=CLOSE)


def test_shards_and_halves(hf, written, in_memory, tokens):
    import torch

    model = make(hf, *CASES["qwen2"]).to(torch.bfloat16)
    folder = written(model, max_shard_size="20KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    config, params = read(folder, in_memory)
    # read anew: .float() would leave the frequencies of its positions rounded
    wanted = theirs(type(model).from_pretrained(folder, dtype=torch.float32), tokens)
    assert np.abs(ours(config, params, tokens) - wanted).max() < CLOSE
