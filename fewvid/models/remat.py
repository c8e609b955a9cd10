"""What of a layer is kept for the way back and what is worked out again, by name.

`none` keeps everything, `full` a layer's input alone, `products` also the matrix products of its
weights: those cost the most to work out again, and the attention's S x T products, which are
large, are not among them.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax

from fewvid.models.dense import PRODUCT

NAMES = ("none", "full", "products")


def rematerialised(block: Any, name: str) -> Any:
    """A flax layer class that is worked out again on the way back as `name` of NAMES says.

    Its result and its gradients are the same under every name.
    """
    if name == "none":
        return block
    policies: dict[str, Any] = {
        "full": None,
        "products": jax.checkpoint_policies.save_only_these_names(PRODUCT),
    }
    return nn.remat(block, prevent_cse=False, policy=policies[name])
