"""The one map x W + b of all parts of the model, with x A B beside it where LoRA trains it."""

from __future__ import annotations

import flax.linen as nn
import jax
from jax.ad_checkpoint import checkpoint_name

from fewvid.models import low_rank

PRODUCT = "product"  # what `remat` may keep; x A B is not in it: it is cheap to make again
A, B = low_rank.names("kernel")


class Dense(nn.Dense):
    """`nn.Dense`, float[...,in] -> float[...,out], and of its parameters A and B, if it has them.

    Like the kernel they are multiplied in `dtype`, whatever they are stored in.
    """

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        y = checkpoint_name(super().__call__(inputs), PRODUCT)
        if not self.has_variable("params", A):
            return y
        a, b = (self.get_variable("params", name).astype(y.dtype) for name in (A, B))
        return y + inputs.astype(y.dtype) @ a @ b
