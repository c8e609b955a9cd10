"""LoRA: a matrix that stays as it is, and the product of two thin ones that trains beside it.

    y = x W + x A B        W [in, out], A [in, r], B [r, out]

(Hu et al., LoRA, arXiv 2106.09685, equation 3.) A and B are parameters beside their matrix, named
after it: `attention_q/kernel` has `attention_q/kernel_lora_a` and `attention_q/kernel_lora_b`, each
stacked over the layers as it is. A model that has them computes with them (see `models.dense`).

x A B is worked out beside x W, and not W + A B before the product: that would need the gradient of
a whole W to come by those of A and B, which is a third of a step's operations and, where layers are
stacked, memory for the gradient of all of them; here a step needs 2 r (in + out) more operations a
token and the gradients of A and B alone.

The factor alpha / rank of the paper is not known to a model: `scaled` multiplies B by it first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

A, B = "_lora_a", "_lora_b"


def names(path: str) -> tuple[str, str]:
    """The paths of A and B of the matrix at `path`."""
    return path + A, path + B


def owner(path: str) -> tuple[str, str]:
    """(path of the matrix, A or B) of a path that `names` gives; (path, "") of any other."""
    end = path[-len(A) :]
    return (path.removesuffix(end), end) if end in (A, B) else (path, "")


def apart(flat: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the model's own, A and B) of a flat tree of leaves by path."""
    pairs = {path: leaf for path, leaf in flat.items() if owner(path)[1]}
    return {path: leaf for path, leaf in flat.items() if path not in pairs}, pairs


def scaled(params: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """The same nested dict with every B times `factor`: what a model is to compute with."""
    return {
        name: scaled(value, factor)
        if isinstance(value, Mapping)
        else (value * factor if name.endswith(B) else value)
        for name, value in params.items()
    }
