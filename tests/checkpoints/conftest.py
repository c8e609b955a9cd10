"""Tiny random models as transformers writes them, and what fewvid makes of them."""

import numpy as np
import pytest

WHY = "needs torch (requirements-parity.txt)"
TOWER = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
}
LLM = {
    "vocab_size": 200,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


@pytest.fixture(scope="session")
def hf():
    """transformers with torch behind it."""
    pytest.importorskip("torch", reason=WHY)
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


@pytest.fixture(scope="session")
def randomised(hf):
    """(model) -> the same with weights that matter: logits of about 1, no norm of all ones."""
    import torch

    def make(model, seed=0):
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, value in model.named_parameters():
                is_norm = "norm" in name or "layrnorm" in name
                spread = 0.2 if value.ndim < 2 else value[0].numel() ** -0.5
                if "embed" in name and "patch" not in name:
                    spread = 0.5
                value.normal_(0, spread, generator=generator)
                if is_norm and name.endswith("weight"):
                    value.add_(1)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def tokenizer():
    from fewvid.data.tokenizer import train_tokenizer

    return train_tokenizer(["which way"], 200)


@pytest.fixture
def written(tmp_path, randomised, tokenizer):
    """(a transformers model, folder name) -> the folder; with the tokenizer of a language model."""

    def write(model, name="hf", seed=0, **options):
        folder = tmp_path / name
        randomised(model, seed).save_pretrained(folder, **options)
        tokenizer.save_pretrained(folder)
        return folder

    return write


@pytest.fixture(scope="session")
def in_memory():
    """Tensors by path -> params as a nested dict of float32."""
    from fewvid.parallel.paths import unflatten

    def read(tensors):
        return unflatten(
            {
                path: np.concatenate(list(tensor.pieces())).astype(np.float32)
                for path, tensor in tensors.items()
            }
        )

    return read
