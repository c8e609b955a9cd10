"""The one attention call of every module, and which kernel does it.

`xla` is the reference, written in plain operations. `cudnn` (flash attention, Dao et al. 2022; Shah
et al. 2024) and `splash`, its like on a TPU, never hold the S x T weights in memory: on a GPU that
makes the steps of the studies 1.8 times faster. `backend` says which is taken and logs it;
FEWVID_ATTENTION=xla, cudnn or splash in the environment decides otherwise, for a whole process: a
compiled program keeps the one it was traced with. A `bias` is always XLA's.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from fewvid.errors import UserError, closest
from fewvid.models.splash import Placement, splash

log = logging.getLogger(__name__)

BACKENDS = ("auto", "xla", "cudnn", "splash")
VARIABLE = "FEWVID_ATTENTION"
ALIGNED = 8  # lengths of keys and queries that cuDNN takes with a mask: multiples of it
AMPERE = 8  # the first compute capability with cuDNN's flash attention
FEW = 16  # queries, such as one of a decoding step: nothing large is held for them
LONG = 1024  # queries and keys from which splash is worth its blocks of 256 to 512
_mask_of_every_head: ContextVar[bool] = ContextVar("mask_of_every_head", default=False)
_placement: ContextVar[Placement | None] = ContextVar("placement", default=None)


def attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    *,
    mask: jax.Array | None = None,
    bias: jax.Array | None = None,
    causal: bool = False,
) -> jax.Array:
    """Scaled dot-product attention, softmax in float32.

    q float[B,S,H,d], k and v float[B,T,H_kv,d] with H a multiple of H_kv (grouped queries).
    mask bool[B,1,S,T], True where q may look at k; a row of all False gives finite output.
    bias float32[B,1,1,T] is added to the scaled logits: of all queries and heads, one a key.
    causal: the i-th query looks at the keys up to the i-th. It stands for a mask, which a kernel
    would read, and multiplies by what it hides; so where it is enough there is no other.
    Returns float[B,S,H,d] in q's dtype. Raises UserError where FEWVID_ATTENTION names no backend.
    """
    assert not (causal and mask is not None), "causal is a mask: give one of both"
    kernel = "xla" if bias is not None else backend(q.shape, q.dtype, k.shape[1])
    if kernel == "cudnn":
        return _cudnn(q, k, v, mask, causal)
    if kernel == "splash":
        mask = jnp.tril(jnp.ones((1, 1, q.shape[1], k.shape[1]), bool)) if causal else mask
        return splash(q, k, v, mask, _placement.get())
    given: dict[str, Any] = {"is_causal": causal, "implementation": "xla"}
    return jax.nn.dot_product_attention(q, k, v, bias, mask, **given)


def backend(shape: tuple[int, ...], dtype: jax.typing.DTypeLike, keys: int | None = None) -> str:
    """The backend, "xla", "cudnn" or "splash", for queries of shape [B,S,H,d] and T keys (None: S).

    It is that of the mesh within `placed`, and of the default device elsewhere. Splash is taken
    without being asked for only where it is known how the program is split: within `placed`, and
    where there is one device. Fewer than FEW queries are XLA's even where splash is asked for.
    """
    wanted = os.environ.get(VARIABLE, "auto")
    if wanted not in BACKENDS:
        raise UserError(
            f"{VARIABLE} is {wanted!r}, wanted one of {', '.join(BACKENDS)}."
            f"{closest(wanted, BACKENDS)}"
        )
    placement = _placement.get()
    device = jax.devices()[0] if placement is None else placement.mesh.devices.flat[0]
    number = jnp.dtype(dtype)
    halves = number in (jnp.bfloat16, jnp.float16)
    flash = _flash(device) and halves and shape[-1] % 8 == 0 and shape[-1] <= 128
    on_tpu = device.platform == "tpu" and number in (jnp.bfloat16, jnp.float32)
    here = f"here are {device.device_kind}, {number.name} and heads of {shape[-1]}"
    if wanted == "cudnn" and not flash:
        raise UserError(
            f"{VARIABLE} is cudnn, which needs an NVIDIA GPU of Ampere or later, 16-bit numbers "
            f"and heads of 8, 16 ... 128; {here}; set xla or auto"
        )
    if wanted == "splash" and not on_tpu:
        raise UserError(f"{VARIABLE} is splash, which needs a TPU and bfloat16 or float32; {here}")
    queries, keys = shape[1], shape[1] if keys is None else keys
    if wanted == "auto":
        known = placement is not None or jax.device_count() == 1
        long = min(queries, keys) >= LONG
        cudnn = flash and queries >= FEW
        wanted = "cudnn" if cudnn else "splash" if on_tpu and known and long else "xla"
    if wanted == "splash" and queries < FEW:
        wanted = "xla"
    log.info("attention of %d queries and %d keys in %s: %s", queries, keys, number.name, wanted)
    return wanted


def holds_scores(platform: str, dtype: jax.typing.DTypeLike, length: int) -> bool:
    """Whether attention among `length` tokens there takes its scores through memory, as XLA's does.

    For what is planned: of "gpu" the kind is not asked. It follows `backend`, and what VARIABLE
    says.
    """
    wanted = os.environ.get(VARIABLE, "auto")
    if platform == "gpu":
        return wanted == "xla" or jnp.dtype(dtype).itemsize != 2
    if platform == "tpu":
        return wanted == "xla" or (wanted == "auto" and length < LONG)
    return True


def _flash(device: Any) -> bool:
    """Whether this is a device for which cuDNN has flash attention."""
    # "7.5" is a T4, which has none; an AMD GPU says "gfx90a".
    number = re.fullmatch(r"(\d+)\.\d+", str(getattr(device, "compute_capability", "")))
    return device.platform == "gpu" and number is not None and int(number[1]) >= AMPERE


@contextmanager
def placed(mesh: Mesh, rows: tuple[str, ...], heads: str) -> Iterator[None]:
    """Within it programs are traced for this mesh, which splits rows and heads along these axes.

    The compiler splits XLA's and cuDNN's attention by itself, and a TPU's kernel not.
    """
    token = _placement.set(Placement(mesh, rows, heads))
    try:
        yield
    finally:
        _placement.reset(token)


@contextmanager
def mask_of_every_head() -> Iterator[None]:
    """Within it cuDNN is given a mask for each head: under `vmap` it takes no shared one."""
    token = _mask_of_every_head.set(True)
    try:
        yield
    finally:
        _mask_of_every_head.reset(token)


def _cudnn(
    q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array | None, causal: bool
) -> jax.Array:
    """Attention by cuDNN; with a mask the lengths are filled up to multiples of ALIGNED."""
    queries, keys = q.shape[1], k.shape[1]
    if mask is None:
        odd = queries % 2 or keys % 2
        return _of_odd_lengths(q, k, v, causal) if odd else _unmasked(q, k, v, causal)
    # Nothing looks at added keys; added queries may look at all others.
    rest = ((0, 0), (0, 0))
    mask = jnp.pad(mask, (*rest, (0, -queries % ALIGNED), (0, 0)), constant_values=True)
    mask = jnp.pad(mask, (*rest, (0, 0), (0, -keys % ALIGNED)))
    heads = q.shape[2] if _mask_of_every_head.get() else 1
    mask = jnp.broadcast_to(mask, (len(q), heads, *mask.shape[2:]))
    q, k, v = map(_filled_up, (q, k, v))
    read = jax.nn.dot_product_attention(q, k, v, None, mask, implementation="cudnn")
    return read[:, :queries]


def _unmasked(
    q: jax.Array, k: jax.Array, v: jax.Array, causal: bool, **lengths: jax.Array
) -> jax.Array:
    given: dict[str, Any] = {"is_causal": causal, "implementation": "cudnn"} | lengths
    return jax.nn.dot_product_attention(q, k, v, **given)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _of_odd_lengths(q: jax.Array, k: jax.Array, v: jax.Array, causal: bool) -> jax.Array:
    """Forward alone cuDNN takes them as they are; what goes back must have even lengths."""
    return _unmasked(q, k, v, causal)


def _forward(q: jax.Array, k: jax.Array, v: jax.Array, causal: bool) -> Any:
    def filled_up(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        lengths = {"query_seq_lengths": _length(q), "key_value_seq_lengths": _length(k)}
        q, k, v, queries = *map(_filled_up, (q, k, v)), q.shape[1]
        return _unmasked(q, k, v, causal, **lengths)[:, :queries]

    return jax.vjp(filled_up, q, k, v)


def _backward(causal: bool, back: Any, gradient: jax.Array) -> Any:
    return back(gradient)


_of_odd_lengths.defvjp(_forward, _backward)


def _filled_up(x: jax.Array) -> jax.Array:
    """float[B,S,H,d] with S up to a multiple of ALIGNED."""
    return jnp.pad(x, ((0, 0), (0, -x.shape[1] % ALIGNED), (0, 0), (0, 0)))


def _length(x: jax.Array) -> jax.Array:
    """int32[B], S of each row. Under `vmap` there must be one for each model, as there is of x."""
    return jnp.where(jnp.isnan(x[:, 0, 0, 0]), x.shape[1], x.shape[1]).astype(jnp.int32)


def probabilities(q: jax.Array, k: jax.Array, bias: jax.Array | None = None) -> jax.Array:
    """The attention weights themselves, float32[B,H,S,T], for the few rows that a response needs.

    q float[B,S,H,d], k float[B,T,H,d], bias as in `attention`. Never called with all layers'
    queries: only the CLS row, or the adapter's queries, or the queries of one layer.
    """
    logits = jnp.einsum("bshd,bthd->bhst", q, k, preferred_element_type=jnp.float32)
    logits = logits * q.shape[-1] ** -0.5
    return jax.nn.softmax(logits if bias is None else logits + bias, axis=-1)


def segment_mask(segments: jax.Array) -> jax.Array:
    """Who may look at whom in rows of packed turns: bool[B,1,L,L] from segments int32[B,L].

    A token sees earlier tokens of its own segment and of the shared prefix (segment 1); padding
    (segment 0) is seen by padding only, which keeps every row of the softmax finite.

          prefix  turn 2  turn 3
    p     x . .
    p     x x .
    2     x x     x .
    2     x x     x x
    3     x x             x .
    3     x x             x x
    """
    length = segments.shape[1]
    causal = jnp.tril(jnp.ones((length, length), bool))
    query, key = segments[:, :, None], segments[:, None, :]
    return (causal & ((query == key) | ((key == 1) & (query > 0))))[:, None]
