"""Random parameters without compiling `init`, and a little batch of frames."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def random_params():
    """(config, seed) -> params: every array random, so that nothing is inert by being zero."""
    import jax

    from fewvid.models import lvlm

    def make(config, seed=0):
        rng = np.random.default_rng(seed)

        def leaf(path, shape):
            name = path[-1].key
            if name in ("scale", "bias"):
                return rng.normal(name == "scale", 0.1, shape.shape).astype(np.float32)
            spread = shape.shape[-2] ** -0.5 if shape.ndim > 1 and name == "kernel" else 0.5
            return rng.normal(0, spread, shape.shape).astype(np.float32)

        shapes = jax.eval_shape(lambda: lvlm.init(config, jax.random.key(0)))
        return jax.tree_util.tree_map_with_path(leaf, shapes)

    return make


@pytest.fixture(scope="session")
def features():
    """Of 2 clips of 3 frames with 16 tokens of width 32."""
    from fewvid.models.lvlm import Features

    rng = np.random.default_rng(1)
    response = rng.dirichlet(np.ones(16), (2, 3)).astype(np.float32)
    return Features(rng.normal(0, 1, (2, 3, 16, 32)).astype(np.float32), response)


@pytest.fixture(scope="session")
def times():
    return np.array([[0, 0.25, 0.5], [0, 0.5, 1.5]], np.float32)
