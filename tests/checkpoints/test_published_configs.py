"""The config.json of published models, as they are written, give the models that they describe."""

import dataclasses
import json
import math

import pytest

from fewvid.checkpoints import importing, source
from fewvid.checkpoints.families import (
    decoders,
    encoders,
    llava,
    llava_onevision,
    preprocessing,
)
from fewvid.models.config import LvlmConfig, visual_tokens
from fewvid.parallel.sharding import spec_for
from fewvid.training.sizes import check_sizes

LLAMA_3 = {
    "model_type": "llama",
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-05,
    "rope_theta": 500000.0,
    "rope_scaling": {
        "factor": 32.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "tie_word_embeddings": True,
}
QWEN2 = {
    "model_type": "qwen2",
    "hidden_size": 896,
    "intermediate_size": 4864,
    "max_position_embeddings": 32768,
    "max_window_layers": 21,
    "num_attention_heads": 14,
    "num_hidden_layers": 24,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "sliding_window": 32768,
    "use_sliding_window": False,
    "tie_word_embeddings": True,
    "vocab_size": 151936,
}
QWEN3 = {
    "model_type": "qwen3",
    "attention_bias": False,
    "head_dim": 128,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "max_position_embeddings": 40960,
    "num_attention_heads": 16,
    "num_hidden_layers": 28,
    "num_key_value_heads": 8,
    "rope_theta": 1000000,
    "tie_word_embeddings": True,
    "vocab_size": 151936,
}
MISTRAL = {
    "model_type": "mistral",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 32768,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "rope_theta": 10000.0,
    "sliding_window": 4096,
    "vocab_size": 32000,
}
VICUNA = {"model_type": "llama", "max_position_embeddings": 4096, "rms_norm_eps": 1e-05}
LLMS = {  # parameters, some settings
    "llama-3.2-1b": (LLAMA_3, 1_235_814_400, {"rope_scaling": "llama3", "rope_factor": 32.0}),
    "qwen2-0.5b": (QWEN2, 494_032_768, {"qkv_bias": True, "window": None, "rope_theta": 1e6}),
    "qwen3-0.6b": (QWEN3, 596_049_920, {"qk_norm": True, "head_dim": 128}),
    "mistral-7b": (MISTRAL, 7_241_732_096, {"window": 4096, "tie_embeddings": False}),
    "vicuna-7b": (VICUNA, 6_738_415_616, {"max_length": 4096, "norm_eps": 1e-5}),
}
CLIP = {
    "model_type": "clip_vision_model",
    "hidden_size": 1024,
    "image_size": 336,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "patch_size": 14,
}
CLIP_UNREAD = 12_596_224 + 2 * 1024  # its last layer and the norm behind it
SO400M = {
    "model_type": "siglip_vision_model",
    "hidden_size": 1152,
    "image_size": 384,
    "intermediate_size": 4304,
    "num_attention_heads": 16,
    "num_hidden_layers": 27,
    "patch_size": 14,
}


def written(tmp_path, values):
    (tmp_path / "config.json").write_text(json.dumps(values))
    return source.read_config(tmp_path)


def parameters(config, part):
    """How many there are; each must have its row in the sharding table."""
    shapes = {p: s for p, s in importing.shapes(config).items() if p.startswith(part)}
    for path, shape in shapes.items():
        spec_for(path, len(shape))
    return sum(map(math.prod, shapes.values()))


@pytest.mark.parametrize("name", LLMS)
def test_language_models(name, tmp_path):
    values, count, settings = LLMS[name]
    decoder = decoders.read_config(written(tmp_path, values))
    config = dataclasses.replace(LvlmConfig.tiny(), decoder=decoder)
    assert parameters(config, "decoder/") == count
    assert {key: getattr(decoder, key) for key in settings} == settings
    check_sizes(config, "model")
    again = decoders.read_config(written(tmp_path, decoders.write_config(decoder)))
    assert again == decoder


@pytest.mark.parametrize(
    ("values", "layers", "tokens", "count"),
    [
        (CLIP, 23, 576, 303_507_456 - CLIP_UNREAD),
        (SO400M, 27, 729, 428_225_600 - 15_238_352),  # less the head over its tokens
    ],
)
def test_vision_towers(values, layers, tokens, count, tmp_path):
    hf = written(tmp_path, values)
    pictures = preprocessing.read(tmp_path, hf.model_type, hf.image_size)
    encoder = encoders.read_config(hf, pictures)
    assert (encoder.depth, encoder.tokens) == (layers, tokens)
    config = dataclasses.replace(LvlmConfig.tiny(), encoder=encoder)
    assert parameters(config, "encoder/") == count
    check_sizes(config, "model")
    again = written(tmp_path, encoders.write_config(encoder))
    assert encoders.read_config(again, pictures, layer=-1) == encoder


def test_llava_onevision(tmp_path):
    """llava-onevision-qwen2-7b-ov: 8.03 billion parameters, and 27 x 27 become 14 x 14."""
    text = QWEN2 | {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28}
    text |= {"num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152000}
    text |= {"tie_word_embeddings": False}
    tower = SO400M | {"num_hidden_layers": 26, "vision_use_head": False}
    values = {"model_type": "llava_onevision", "text_config": text, "vision_config": tower}
    hf = written(tmp_path, values)
    pictures = llava_onevision.read_preparation(tmp_path, hf.vision_config)
    config = llava_onevision.read_config(hf, pictures)
    norm, times = 2 * 1152, 20 * 3584  # the norm behind its tower is not read
    assert parameters(config, "") == 8_029_890_080 - norm + times
    check_sizes(config, "model")
    assert visual_tokens(config, 8) == 8 * 196 + 1
    again = written(tmp_path, llava_onevision.write_config(config))
    assert again.image_grid_pinpoints == hf.image_grid_pinpoints
    assert llava_onevision.read_config(again, pictures) == config


def test_llava(tmp_path):
    """llava-1.5-7b: 7.06 billion parameters, less the tower's last layer and norm, plus times."""
    text = VICUNA | {"vocab_size": 32064}
    hf = written(tmp_path, {"model_type": "llava", "text_config": text, "vision_config": CLIP})
    pictures = preprocessing.read(tmp_path, "clip_vision_model", 336)
    config = llava.read_config(hf, pictures)
    times = 20 * 4096
    assert parameters(config, "") == 7_063_427_072 - CLIP_UNREAD + times
    check_sizes(config, "model")
    assert config.encoder.mean == preprocessing.CLIP_MEAN
