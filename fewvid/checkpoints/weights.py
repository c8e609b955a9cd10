"""A nested dict of arrays as safetensors files, in one piece or in shards with an index.

Names are the paths joined by '/': `decoder/layers/attention/q/kernel`. No pickle, no torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from fewvid.errors import UserError
from fewvid.parallel.paths import flatten

FILE = "model.safetensors"
INDEX = "model.safetensors.index.json"
DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


def write(
    directory: Path, params: Mapping[str, Any], *, dtype: str | None, shard_bytes: int
) -> None:
    """Writes `params`, one shard in memory at a time.

    dtype: float32, float16 or bfloat16 for every floating array; None keeps each array's own.
    """
    flat = flatten(params)
    shards = list(_shards(flat, dtype, shard_bytes))
    if len(shards) == 1:
        _write_file(directory / FILE, flat, shards[0], dtype)
        return
    where: dict[str, str] = {}
    for number, names in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        _write_file(directory / file, flat, names, dtype)
        where |= dict.fromkeys(names, file)
    total = sum(_stored_bytes(value, dtype) for value in flat.values())
    index = {"metadata": {"total_size": total}, "weight_map": where}
    (directory / INDEX).write_text(json.dumps(index, indent=1) + "\n")


def read(directory: Path) -> dict[str, np.ndarray]:
    """Reads every array by path, in the dtype of the file.

    Raises UserError for a missing, damaged or incomplete set of files.
    """
    if (directory / FILE).is_file():
        return _read_file(directory / FILE)
    if not (directory / INDEX).is_file():
        raise UserError(f"{directory} has no {FILE} (nor {INDEX}): it is not a model directory")
    where = json.loads((directory / INDEX).read_text())["weight_map"]
    flat: dict[str, np.ndarray] = {}
    for file in sorted(set(where.values())):
        if not (directory / file).is_file():
            raise UserError(f"{directory} lacks {file}, which {INDEX} names; copy it there")
        flat |= _read_file(directory / file)
    return flat


def _shards(flat: Mapping[str, Any], dtype: str | None, limit: int) -> Iterator[list[str]]:
    """Groups of names, each at most `limit` bytes (one array may exceed it alone)."""
    names: list[str] = []
    size = 0
    for name, value in flat.items():
        grown = size + _stored_bytes(value, dtype)
        if names and grown > limit:
            yield names
            names, grown = [], _stored_bytes(value, dtype)
        names.append(name)
        size = grown
    yield names


def _stored_dtype(value: Any, dtype: str | None) -> np.dtype:
    own = np.dtype(value.dtype)
    # ml_dtypes' bfloat16 is no numpy floating type ('V' kind), hence the second look.
    floating = np.issubdtype(own, np.floating) or own == ml_dtypes.bfloat16
    return np.dtype(DTYPES[dtype]) if dtype and floating else own


def _stored_bytes(value: Any, dtype: str | None) -> int:
    return int(np.prod(value.shape, dtype=np.int64)) * _stored_dtype(value, dtype).itemsize


def _write_file(file: Path, flat: Mapping[str, Any], names: list[str], dtype: str | None) -> None:
    arrays = {
        name: np.ascontiguousarray(np.asarray(flat[name]).astype(_stored_dtype(flat[name], dtype)))
        for name in names
    }
    save_file(arrays, str(file), metadata={"format": "np"})


def _read_file(file: Path) -> dict[str, np.ndarray]:
    try:
        with safe_open(str(file), framework="np") as handle:
            return {name: handle.get_tensor(name) for name in handle.keys()}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file} is damaged ({error}); copy it again") from error
