"""A model directory onto a mesh: every device's piece of an array is read from the file alone.

What LoRA adds to a piece is added as it is read.

The host never holds more than one such piece, so that a model may be larger than its memory.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fewvid.checkpoints import model_directory
from fewvid.checkpoints.lora import ModelFiles
from fewvid.parallel.paths import flatten, unflatten


def load(
    directory: Path, layout: Mapping[str, Any], as_stored: Collection[str] = ()
) -> dict[str, Any]:
    """The parameters as float32 arrays of jax, each where `layout` says (see `shardings`).

    as_stored: paths of those that stay in the 16 bits that they are stored in, if they are.
    Raises UserError as `model_directory.load` does.
    """
    import jax

    files = ModelFiles(directory)
    model_directory.check_shapes(directory, model_directory.read_config(directory), files)
    placed = {}
    for path, sharding in flatten(layout).items():
        short = path in as_stored and files[path].dtype.itemsize == 2
        dtype = files[path].dtype if short else np.dtype(np.float32)
        pieces: dict[str, np.ndarray] = {}  # axes that copy an array would read it again

        def piece(
            index: Any,
            path: str = path,
            dtype: np.dtype = dtype,
            pieces: dict[str, np.ndarray] = pieces,
        ) -> np.ndarray:
            key = str(index)
            if key not in pieces:
                pieces[key] = files.part(path, index).astype(dtype, copy=False)
            return pieces[key]

        placed[path] = jax.make_array_from_callback(files[path].shape, sharding, piece)
    return unflatten(placed)
