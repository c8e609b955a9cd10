"""Names and shapes of another library's weights, and ours: tables, and the one loop over them.

A row of a table says which of their arrays is which of ours, and how it has to be turned. `{i}` is
a layer: theirs are one array a layer, ours are stacked. The same rows serve both directions:

    theirs  decoder.layers.0.mlp.up_proj.weight [out,in], decoder.layers.1. ...
    ours    decoder/layers/mlp_in/kernel        [depth,in,out]
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fewvid.checkpoints.tensors import FLOATS, Tensor, TensorFiles
from fewvid.errors import UserError, closest

Shape = tuple[int, ...]
MOST_NAMED = 20  # problems that one error lists; the others are counted


class How(NamedTuple):
    """Turns one of their arrays into ours, and back (given our shape for the way back)."""

    to_ours: Callable[[np.ndarray], np.ndarray]
    to_theirs: Callable[[np.ndarray], np.ndarray]


def _patches(kernel: np.ndarray) -> np.ndarray:
    """A convolution [D,3,p,p] as a product over a patch's pixels [p*p*3,D]."""
    return kernel.transpose(2, 3, 1, 0).reshape(-1, len(kernel))


def _convolution(kernel: np.ndarray) -> np.ndarray:
    side = round((len(kernel) / 3) ** 0.5)
    return kernel.reshape(side, side, 3, -1).transpose(3, 2, 0, 1)


KEEP = How(lambda array: array, lambda array: array)
TURN = How(np.transpose, np.transpose)
PATCHES = How(_patches, _convolution)


@dataclass(frozen=True)
class Row:
    """One of their names, our path for it, and how it is turned."""

    theirs: str
    ours: str
    how: How = KEEP

    @property
    def stacked(self) -> bool:
        return "{i}" in self.theirs


def dense(theirs: str, ours: str) -> tuple[Row, Row]:
    """The rows of a product and its bias (which is there where the config says so)."""
    kernel = Row(f"{theirs}.weight", f"{ours}/kernel", TURN)
    return kernel, Row(f"{theirs}.bias", f"{ours}/bias")


def norm(theirs: str, ours: str) -> tuple[Row, Row]:
    """The rows of a norm; an RMSNorm has no bias."""
    return Row(f"{theirs}.weight", f"{ours}/scale"), Row(f"{theirs}.bias", f"{ours}/bias")


class Layout(NamedTuple):
    """How one kind of folder names its arrays.

    renames: (regex, replacement) pairs that bring their names to those of the rows; the first that
      matches is applied. ignored: regexes of names, after that, that are no part of our model.
    """

    renames: Sequence[tuple[str, str]]
    ignored: Sequence[str]


def read(
    files: TensorFiles,
    rows: Sequence[Row],
    layout: Layout,
    wanted: Mapping[str, Shape],
) -> dict[str, Tensor]:
    """Our tensors by path, read from their files piece by piece when they are written.

    wanted: our paths and shapes; a row whose path is none of them is left out.
    Raises one UserError that names every array that is missing, left over or of another shape.
    """
    names: dict[str, str] = {}
    wrong: list[str] = []
    for name in sorted(files):
        old = names.setdefault(_renamed(name, layout.renames), name)
        if old != name:
            wrong.append(f"{old} and {name} are both {_renamed(name, layout.renames)}")
    used: set[str] = set()
    found: dict[str, Tensor] = {}
    for row in rows:
        if row.ours not in wanted:
            continue
        shape = wanted[row.ours]
        theirs = [row.theirs.format(i=i) for i in range(shape[0])] if row.stacked else [row.theirs]
        missing = [name for name in theirs if name not in names]
        wrong += [
            f"missing {name} (for {row.ours}).{closest(name, names.keys() - used)}"
            for name in missing
        ]
        used |= set(theirs)
        if missing:
            continue
        tensors = [files[names[name]] for name in theirs]
        each = shape[1:] if row.stacked else shape
        wrong += [
            f"{names[name]} is {list(tensor.shape)}, wanted {list(_their_shape(row.how, each))}"
            for name, tensor in zip(theirs, tensors, strict=True)
            if tensor.shape != _their_shape(row.how, each)
        ]
        found[row.ours] = Tensor(shape, _common_type(tensors), _pieces(tensors, row))
    filled = {row.ours for row in rows}
    wrong += [f"no row of the table fills {path}" for path in wanted.keys() - filled]
    wrong += [
        f"{name} is not used.{closest(name, {row.theirs for row in rows} - used)}"
        for name in sorted(names.keys() - used)
        if not any(re.fullmatch(pattern, name) for pattern in layout.ignored)
    ]
    if wrong:
        more = f"; and {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
        raise UserError(
            f"the weights in {files.folder} do not fit its config.json ({len(wrong)} problems): "
            f"{'; '.join(wrong[:MOST_NAMED])}{more}"
        )
    return found


def write_names(
    ours: TensorFiles, rows: Sequence[Row], name_of: Callable[[str], str]
) -> dict[str, Tensor]:
    """Their tensors by name, read from our files layer by layer when they are written.

    name_of: brings a name of the rows to that of the folder to be written.
    """
    found: dict[str, Tensor] = {}
    for row in rows:
        if row.ours not in ours:
            continue
        tensor = ours[row.ours]
        if not row.stacked:
            shape = _their_shape(row.how, tensor.shape)
            found[name_of(row.theirs)] = Tensor(shape, tensor.dtype, _back(tensor, row.how))
            continue
        shape = _their_shape(row.how, tensor.shape[1:])
        for i in range(tensor.shape[0]):
            layer = _layer(ours, row, i)
            found[name_of(row.theirs.format(i=i))] = Tensor(shape, tensor.dtype, layer)
    return found


def _renamed(name: str, renames: Sequence[tuple[str, str]]) -> str:
    for pattern, replacement in renames:
        if re.match(pattern, name):
            return re.sub(pattern, replacement, name, count=1)
    return name


def _their_shape(how: How, ours: Shape) -> Shape:
    # zeros of stride 0: a shape without the memory for it
    return how.to_theirs(np.broadcast_to(np.int8(0), ours)).shape


def _common_type(tensors: Sequence[Tensor]) -> np.dtype:
    kinds = {tensor.dtype for tensor in tensors}
    if len(kinds) == 1:
        return kinds.pop()
    return np.dtype(np.float32) if kinds <= FLOATS else np.result_type(*kinds)


def _pieces(tensors: Sequence[Tensor], row: Row) -> Callable[[], Iterator[np.ndarray]]:
    def pieces() -> Iterator[np.ndarray]:
        for tensor in tensors:
            (array,) = tensor.pieces()
            turned = row.how.to_ours(array)
            yield turned[None] if row.stacked else turned

    return pieces


def _back(tensor: Tensor, how: How) -> Callable[[], Iterator[np.ndarray]]:
    def pieces() -> Iterator[np.ndarray]:
        (array,) = tensor.pieces()
        yield how.to_theirs(array)

    return pieces


def _layer(ours: TensorFiles, row: Row, index: int) -> Callable[[], Iterator[np.ndarray]]:
    def pieces() -> Iterator[np.ndarray]:
        yield row.how.to_theirs(ours.part(row.ours, (slice(index, index + 1),))[0])

    return pieces
