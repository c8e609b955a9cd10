"""Safetensors files, piece by piece: what does not fit in memory whole can be read and written.

A `Tensor` knows its shape and type and how to read its pieces; `TensorFiles` are the arrays of a
folder, of which any can be read alone; `write` copies pieces to files as they come.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from fewvid.checkpoints.weights import FILE, INDEX
from fewvid.errors import UserError

# name in a safetensors header -> type
TYPES: dict[str, np.dtype] = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}
NAMES = {kind: name for name, kind in TYPES.items()}
FLOATS = {TYPES[name] for name in ("F64", "F32", "F16", "BF16")}


@dataclass(frozen=True)
class Tensor:
    """An array that is not in memory.

    pieces: gives runs of it along axis 0 (any number of them), in order; one at a time is held.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    pieces: Callable[[], Iterator[np.ndarray]]

    @classmethod
    def of(cls, array: np.ndarray) -> Tensor:
        """One that is in memory already."""
        return cls(array.shape, array.dtype, lambda: iter((array,)))

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class TensorFiles(Mapping[str, Tensor]):
    """The arrays of all safetensors files of a folder, by name; only their headers are read.

    Raises UserError where there are none, one is damaged, or one that the index names is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = {}
        self._found: dict[str, Tensor] = {}
        self._where: dict[str, Path] = {}
        for file in _files_of(folder):
            try:
                handle = safe_open(str(file), framework="np")
                self._files[file] = handle
                for name in handle.keys():
                    self._found[name] = self._tensor(file, name)
            except (SafetensorError, OSError) as error:
                raise UserError(f"{file} is damaged ({error}); copy it again") from error

    def __getitem__(self, name: str) -> Tensor:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def part(self, name: str, index: tuple[slice, ...]) -> np.ndarray:
        """A part of an array alone: one slice an axis, of step 1."""
        return self._files[self._where[name]].get_slice(name)[index]

    def _tensor(self, file: Path, name: str) -> Tensor:
        self._where[name] = file
        header = self._files[file].get_slice(name)
        kind = header.get_dtype()
        if kind not in TYPES:
            raise UserError(f"{file}: {name} is of type {kind}, wanted one of {', '.join(TYPES)}")

        def whole() -> Iterator[np.ndarray]:
            yield self._files[file].get_tensor(name)

        return Tensor(tuple(header.get_shape()), TYPES[kind], whole)


def write(
    folder: Path, tensors: Mapping[str, Tensor], *, shard_bytes: int, framework: str = "np"
) -> None:
    """Writes the tensors as model.safetensors, or as shards of about `shard_bytes` with an index.

    One piece is in memory at a time. framework: what the header says that they are for; readers
    that use torch want "pt".
    """
    names = _order(tensors)
    shards: list[list[str]] = [[]]
    size = 0
    for name in names:
        if shards[-1] and size + tensors[name].nbytes > shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append(name)
        size += tensors[name].nbytes
    if len(shards) == 1:
        write_file(folder / FILE, {name: tensors[name] for name in names}, framework)
        return
    where: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        write_file(folder / file, {name: tensors[name] for name in shard}, framework)
        where |= dict.fromkeys(shard, file)
    total = sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": where}
    (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n")


def pass_by(tensors: Mapping[str, Tensor]) -> None:
    """Reads all pieces as `write` does and lets them go: for those that must take part."""
    for name in _order(tensors):
        for _ in tensors[name].pieces():
            pass


def _order(tensors: Mapping[str, Tensor]) -> list[str]:
    # the widest types first, so that every array starts at a multiple of its own width
    return sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))


def write_file(
    file: Path, tensors: Mapping[str, Tensor], framework: str = "np", **said: str
) -> None:
    """One file: a length, a header of JSON, and the arrays one behind the other.

    said: what else the header is to say. The same arrays give the same bytes.
    """
    header: dict[str, object] = {"__metadata__": {"format": framework, **said}}
    at = 0
    for name, tensor in tensors.items():
        header[name] = {
            "dtype": NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [at, at + tensor.nbytes],
        }
        at += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for name, tensor in tensors.items():
            written = sum(stream.write(_bytes(piece, tensor.dtype)) for piece in tensor.pieces())
            if written != tensor.nbytes:
                raise ValueError(f"{name}: {written} bytes came of {tensor.nbytes}")


def _bytes(piece: np.ndarray, dtype: np.dtype) -> memoryview:
    plain = np.ascontiguousarray(piece.astype(dtype, copy=False))
    return plain.view(np.uint8).reshape(-1).data


def _files_of(folder: Path) -> list[Path]:
    index = folder / INDEX
    if index.is_file():
        named = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        for name in named:
            if not (folder / name).is_file():
                raise UserError(f"{folder} lacks {name}, which {INDEX} names; copy it there")
        return [folder / name for name in named]
    if (folder / FILE).is_file():
        return [folder / FILE]
    old = sorted(file.name for end in ("*.bin", "*.pt", "*.pth") for file in folder.glob(end))
    if old:
        raise UserError(
            f"{folder} holds {old[0]}, which is a pickle and could run any code when it is read; "
            "where torch is, convert it once: AutoModel.from_pretrained(FOLDER) of transformers "
            "and .save_pretrained(OTHER) of what that gives write safetensors"
        )
    raise UserError(f"{folder} has no {FILE} (nor {INDEX}): there are no weights to read")
