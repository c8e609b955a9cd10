"""A tiny random model directory and a small video, made once."""

import av
import numpy as np
import pytest

TEXTS = ["Which way does the red circle move?", "left right up down", "How many shapes are there?"]


@pytest.fixture(scope="session")
def tokenizer():
    from fewvid.data.tokenizer import train_tokenizer

    return train_tokenizer(TEXTS, 256)


@pytest.fixture(scope="session")
def config(tokenizer):
    """N = 16 patches a frame, each kept one a query, so that K cuts what the decoder reads."""
    from fewvid.models.config import AdapterConfig, DecoderConfig, EncoderConfig, LvlmConfig

    return LvlmConfig(
        encoder=EncoderConfig.tiny(),
        adapter=AdapterConfig(queries="tokens", width=32, heads=2),
        decoder=DecoderConfig(
            vocab_size=len(tokenizer), width=32, heads=2, kv_heads=1, mlp_width=64, max_length=400
        ),
    )


@pytest.fixture(scope="session")
def params(config):
    """Random, without compiling `init`; embeddings so large that answers are not one word."""
    import jax

    from fewvid.models import lvlm

    rng = np.random.default_rng(0)

    def leaf(path, shape):
        name = path[-1].key
        if name in ("scale", "bias"):
            return np.full(shape.shape, name == "scale", np.float32)
        spread = 0.4 if name == "embedding" else shape.shape[-2] ** -0.5 if shape.ndim > 1 else 0.02
        return rng.normal(0, spread, shape.shape).astype(np.float32)

    shapes = jax.eval_shape(lambda: lvlm.init(config, jax.random.key(0)))
    return jax.tree_util.tree_map_with_path(leaf, shapes)


@pytest.fixture(scope="session")
def directory(tmp_path_factory, config, params, tokenizer):
    from fewvid.checkpoints import model_directory

    return model_directory.save(
        tmp_path_factory.mktemp("models") / "tiny",
        config=config,
        params=params,
        tokenizer=tokenizer,
        card="# tiny\nRandom weights.\n",
        frames=4,
    )


@pytest.fixture(scope="session")
def model(directory):
    import fewvid

    return fewvid.load(directory)


@pytest.fixture(scope="session")
def video(tmp_path_factory):
    """Twelve frames of 64 x 48 at 4 a second: a bright square that goes from left to right."""
    path = tmp_path_factory.mktemp("videos") / "square.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=4)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(12):
            picture = np.full((48, 64, 3), 40, np.uint8)
            picture[16:32, 4 * i : 4 * i + 16] = (250, 120, 20)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path
