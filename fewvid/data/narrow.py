"""Makes the rows of a batch those of a smaller K: fewer visual tokens a frame, packed as before.

Rows are packed for the largest K that a stage trains with. A step with a smaller one takes the
placeholders out that it does not need, so that its program reads no token too many:

    M = 3, T = 2   <bos> v v v v v v | where is it ? left | pad      tokens
                     0   1 2 3 4 5 6 | 7 ...                         positions
    m = 1          <bos> v v | where is it ? left | pad
                     0   1 2 | 3 ...
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fewvid.data.batches import BatchShape


def narrow(
    batch: Mapping[str, Any], shape: BatchShape, per_frame: int, visual_id: int
) -> dict[str, Any]:
    """The batch with m = `per_frame` visual tokens a frame instead of the shape's M; may be jitted.

    It is what `pack_row` makes of the same segments at m: tokens, segments and positions
    int32[B,L - T(M - m)], and answer_positions int32[B,A] that point at the same ids. All else of
    the batch is as it was. A row of f < T frames, such as an image, has only f(M - m) placeholders
    to give; the rest comes off the end, which `BatchShape.room` has kept empty.
    """
    import jax.numpy as jnp

    most = shape.visual_tokens_per_frame
    assert most - shape.narrows_by <= per_frame <= most, (per_frame, shape)
    if per_frame == most:
        return dict(batch)
    visual = batch["tokens"] == visual_id
    frames = (visual.sum(axis=1, keepdims=True) - shape.closing) // most
    goes = visual & (jnp.cumsum(visual, axis=1) > frames * per_frame + shape.closing)
    before = jnp.cumsum(goes, axis=1)  # how many of the ids up to here go
    length = shape.length - shape.frames * (most - per_frame)
    kept = jnp.argsort(goes, axis=1, stable=True)[:, :length]
    positions = jnp.where(batch["segments"] > 0, batch["positions"] - before, 0)
    moved = {"tokens": batch["tokens"], "segments": batch["segments"], "positions": positions}
    at = batch["answer_positions"]
    return {
        **batch,
        **{key: jnp.take_along_axis(value, kept, axis=1) for key, value in moved.items()},
        "answer_positions": at - jnp.take_along_axis(before, at, axis=1),
    }
