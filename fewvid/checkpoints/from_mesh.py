"""Arrays of a mesh of several hosts, piece by piece to where they can be written.

A piece is a run of rows that every host is sent at once; nobody ever holds a whole model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from fewvid.checkpoints.tensors import Tensor
from fewvid.parallel.paths import flatten

PIECE_BYTES = 256 << 20


def tensors_of(params: Mapping[str, Any], piece_bytes: int = PIECE_BYTES) -> dict[str, Tensor]:
    """Each array as a `Tensor` whose pieces come from all hosts.

    Reading a piece is a collective: every process has to read all of them, in the same order.
    """
    return {
        path: Tensor(leaf.shape, np.dtype(leaf.dtype), partial(_pieces, leaf, piece_bytes))
        for path, leaf in flatten(params).items()
    }


def _pieces(leaf: Any, piece_bytes: int) -> Iterator[np.ndarray]:
    import jax
    from jax.sharding import NamedSharding
    from jax.sharding import PartitionSpec as P

    everywhere = NamedSharding(leaf.sharding.mesh, P())
    if not leaf.ndim:
        yield np.asarray(jax.jit(lambda x: x, out_shardings=everywhere)(leaf))
        return
    rows = max(1, piece_bytes * leaf.shape[0] // max(leaf.nbytes, 1))
    take = jax.jit(
        lambda x, start, size: jax.lax.dynamic_slice_in_dim(x, start, size),
        static_argnums=2,
        out_shardings=everywhere,
    )
    for start in range(0, leaf.shape[0], rows):
        yield np.asarray(take(leaf, start, min(rows, leaf.shape[0] - start)))
