"""LoRA in a model directory: lora.safetensors, the A and B beside weights that are as they were.

The names of its arrays are those of `models.low_rank`; its header says `rank` and `alpha`. Whoever
reads the model gets W + alpha / rank A B, worked out in float32; the files of the weights are never
touched, so that taking lora.safetensors away gives the base model back bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from fewvid.checkpoints.tensors import Tensor, TensorFiles, write_file
from fewvid.errors import UserError
from fewvid.models import low_rank

FILE = "lora.safetensors"


@dataclass(frozen=True)
class Lora:
    """What is added to a model. pairs: A float32[...,in,r] and B float32[...,r,out] by matrix."""

    alpha: float
    rank: int
    pairs: Mapping[str, tuple[np.ndarray, np.ndarray]]

    def added(self, path: str, value: np.ndarray, index: tuple[slice, ...] = ()) -> np.ndarray:
        """The matrix at `path`, or a part of it (one slice an axis), with alpha / rank A B added.

        Float32, and a new array; of a path that has no pair, `value` as it is.
        """
        if path not in self.pairs:
            return value
        a, b = self.pairs[path]
        if index:
            *depth, rows, columns = index
            a, b = a[(*depth, rows)], b[(*depth, slice(None), columns)]
        made = np.array(value, np.float32)
        factor = np.float32(self.alpha / self.rank)
        for place in np.ndindex(*made.shape[:-2]):  # a layer at a time: products as large as W
            made[place] += a[place] @ (factor * b[place])
        return made


class ModelFiles(TensorFiles):
    """The arrays of a model directory, piece by piece, with what lora.safetensors adds to them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.lora = read(folder, {path: tensor.shape for path, tensor in self._found.items()})

    def __getitem__(self, name: str) -> Tensor:
        tensor = super().__getitem__(name)
        if self.lora is None or name not in self.lora.pairs:
            return tensor
        lora = self.lora

        def pieces() -> Iterator[np.ndarray]:
            at = 0
            for piece in tensor.pieces():
                rows = slice(at, at + len(piece))
                whole = (slice(None),) * (piece.ndim - 1)
                yield lora.added(name, piece, (rows, *whole))
                at += len(piece)

        return Tensor(tensor.shape, np.dtype(np.float32), pieces)

    def part(self, name: str, index: tuple[slice, ...]) -> np.ndarray:
        part = super().part(name, index)
        return part if self.lora is None else self.lora.added(name, part, index)


def read(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> Lora | None:
    """The LoRA of a model directory whose arrays have these shapes; None where it has none.

    Raises UserError where the file is damaged, or does not fit the weights.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        with safe_open(str(file), framework="np") as handle:
            said = handle.metadata() or {}
            flat = {name: handle.get_tensor(name) for name in handle.keys()}
            alpha, rank = float(said["alpha"]), int(said["rank"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise UserError(f"{file} is damaged ({error}); copy it again") from error
    pairs = {}
    for path in sorted({low_rank.owner(name)[0] for name in flat}):
        a, b = (flat.get(name) for name in low_rank.names(path))
        whole = shapes.get(path)
        if a is None or b is None or not _fit(a, b, whole, rank):
            raise UserError(
                f"{file} does not fit the weights beside it: it is of rank {rank} and has "
                f"{path} of A {getattr(a, 'shape', None)} and B {getattr(b, 'shape', None)}, and "
                f"the weights are {whole}; copy both again"
            )
        pairs[path] = (a, b)
    return Lora(alpha, rank, pairs)


def write(folder: Path, flat: Mapping[str, Any], alpha: float) -> None:
    """Writes the leaves A and B of a flat tree, by path, as float32 (a `Tensor` as it is)."""
    rank = next(leaf.shape[-1] for path, leaf in flat.items() if path.endswith(low_rank.A))
    arrays = {
        path: leaf if isinstance(leaf, Tensor) else Tensor.of(np.asarray(leaf, np.float32))
        for path, leaf in sorted(flat.items())
    }
    write_file(folder / FILE, arrays, rank=str(rank), alpha=repr(float(alpha)))


def _fit(a: np.ndarray, b: np.ndarray, whole: tuple[int, ...] | None, rank: int) -> bool:
    if whole is None or len(whole) < 2:
        return False
    *depth, rows, columns = whole
    return a.shape == (*depth, rows, rank) and b.shape == (*depth, rank, columns)
