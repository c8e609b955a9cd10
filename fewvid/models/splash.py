"""Attention on a TPU by splash attention: the kernel of jax that skips what a mask leaves empty.

Its segment ids let a token see one segment, its own; the turns of a row see two, their own and
the prefix that they share. So the kernel is given the mask itself: it reads, and multiplies, only
those blocks of it in which something is seen. A turn costs the prefix and itself, whatever else
is in the row. One mask a row of the batch, the rows one after the other.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

BLOCKS = (512, 384, 256)  # queries by keys that are multiplied at once, the fastest first


class Placement(NamedTuple):
    """A mesh, its axes that split the rows of a batch, and the one that splits heads."""

    mesh: Mesh
    rows: tuple[str, ...]
    heads: str


def splash(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    mask: jax.Array | None,
    placement: Placement | None = None,
    *,
    interpret: bool = False,
) -> jax.Array:
    """Shapes as for `attention`; a query that may look at no key looks at all of them.

    placement: the mesh that the program is split over; the compiler cannot split a kernel itself.
    interpret: step by step in plain operations, on any device.
    """
    queries, keys = q.shape[1], k.shape[1]
    mask = jnp.ones((1, 1, queries, keys), bool) if mask is None else mask
    mask = mask | ~mask.any(-1, keepdims=True)  # the softmax of nothing is 0 / 0
    block_q, block_k = block(queries), block(keys)
    more_q, more_k = -queries % block_q, -keys % block_k
    mask = jnp.pad(mask, ((0, 0), (0, 0), (0, more_q), (0, more_k)))
    mask = mask.at[..., queries:, 0].set(True)  # added queries are thrown away, but divide as well

    def ready(x: jax.Array, more: int) -> jax.Array:
        return jnp.pad(x, ((0, 0), (0, more), (0, 0), (0, 0))).swapaxes(1, 2)

    scaled = q * jnp.asarray(q.shape[-1] ** -0.5, q.dtype)
    heads_first = ready(scaled, more_q), ready(k, more_k), ready(v, more_k)

    def run(*parts: jax.Array) -> jax.Array:
        return _rows(*parts, blocks=(block_q, block_k), interpret=interpret)

    if placement is not None and placement.mesh.size > 1:
        run = _split(run, placement, heads_first, mask)
    return run(*heads_first, mask).swapaxes(1, 2)[:, :queries]


def block(length: int) -> int:
    """The side of the blocks of so many queries or keys: the one that adds least to them."""
    return min(BLOCKS, key=lambda size: -(-length // size) * size)


def _rows(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    mask: jax.Array,
    *,
    blocks: tuple[int, int],
    interpret: bool,
) -> jax.Array:
    """The kernel over each row: q float[B,H,S,d], k and v float[B,H_kv,T,d], mask bool[B,1,S,T]."""
    from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as kernels

    names = ("block_q", "block_q_dkv", "block_q_dq")
    sides: dict[str, Any] = dict.fromkeys(names, blocks[0])
    names = ("block_kv", "block_kv_compute", "block_kv_dkv", "block_kv_dkv_compute", "block_kv_dq")
    sides |= dict.fromkeys(names, blocks[1])

    def row(q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array) -> jax.Array:
        kernel: Any = kernels.make_splash_mha(
            mask,  # of one head, it serves all
            block_sizes=kernels.BlockSizes(**sides),
            head_shards=1,
            q_seq_shards=1,
            interpret=interpret,
        )
        # Only names a scope after it, for which jax asks whether it is true: not while tracing.
        kernel.fwd_mask_info = kernel.fwd_mask_info._replace(is_dynamic_mask=None)
        return kernel(q, k, v)

    if len(mask) == 1:  # shared by all rows, so that the kernel takes them all at once
        return jax.vmap(row, in_axes=(0, 0, 0, None))(q, k, v, mask[0])
    return jax.vmap(row)(q, k, v, mask)


def _split(run: Any, placement: Placement, parts: tuple[jax.Array, ...], mask: jax.Array) -> Any:
    """`run` on each device's part: of the rows, and of the heads where both kinds divide evenly."""
    mesh, (q, k, _) = placement.mesh, parts
    share = mesh.shape[placement.heads]
    heads = None if q.shape[1] % share or k.shape[1] % share else placement.heads
    count = 1
    for axis in placement.rows:
        count *= mesh.shape[axis]
    rows = None if len(q) % count else placement.rows
    shared = P(None if len(mask) == 1 else rows)
    part = P(rows, heads)
    return jax.shard_map(
        run, mesh=mesh, in_specs=(part, part, part, shared), out_specs=part, check_vma=False
    )
