"""Programs compiled for devices that need not be there: shapes in, a program out."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import jax


@dataclass(frozen=True)
class Compiled:
    """text: the program; temporaries: bytes of one device beside its arguments.

    refused: what the compiler says where the program does not fit its chip; text is "" then, and
    temporaries what it says it would need.
    """

    text: str
    temporaries: int
    refused: str = ""


def compiled(traced: Any, platform: str) -> Compiled:
    """Compiles what `jax.jit(f).trace(...)` gave for `platform`, that of its mesh's devices."""
    try:
        found = traced.lower(lowering_platforms=(platform,)).compile()
    except jax.errors.JaxRuntimeError as error:
        needed = re.search(r"(?:temporaries \(|Used )([\d.]+)G", str(error))
        if "RESOURCE_EXHAUSTED" not in str(error) or not needed:
            raise
        words = str(error).splitlines()[0].removeprefix("RESOURCE_EXHAUSTED: ")
        return Compiled("", int(float(needed[1]) * 2**30), words)
    return Compiled(found.as_text(), temporaries(found))


def temporaries(program: Any) -> int:
    """Bytes of one device that a compiled program needs beside its arguments."""
    memory = program.memory_analysis()
    made = memory.output_size_in_bytes - memory.alias_size_in_bytes
    return memory.temp_size_in_bytes + max(made, 0)


def shaped(leaf: Any, where: Any) -> jax.ShapeDtypeStruct:
    """The leaf's shape, placed by a sharding."""
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where)


def bytes_of(tree: Any) -> int:
    """Bytes of one device's pieces of a tree of placed shapes."""
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )
