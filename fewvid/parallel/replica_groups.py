"""Which devices take part in a collective together, as HLO text has it in three ways.

replica_groups={{0,1},{2,3}}                      by name
replica_groups=[2,2]<=[2,2]T(1,0)                 rows of a range, shaped and transposed
replica_groups=mesh['a'=2,'b'=2] {'b'}            along axes; sub-axes as 'a':(1)2, and the order
                                                  of devices where it is none: device_ids=(...)
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

MESH = re.compile(r"mesh\[([^\]]*)\](?:, device_ids=\(((?:[^()]|\([^()]*\))*)\))? *\{([^}]*)\}")
IOTA = re.compile(r"\[(\d+),(\d+)\]<=(\[[\d,]*\](?:T\([\d,]*\))?)")
NAMED = re.compile(r"\{(\{[\d,]*\}(?:,\{[\d,]*\})*)\}")
PAIRS = re.compile(r"source_target_pairs=(\{\{[\d,{}]*\}\})")
AXIS = re.compile(r"'(\w+)'(?::\((\d+)\)(\d+))?")


def groups(line: str, devices: int) -> Sequence[Sequence[int]]:
    """Positions of devices, a row a group; where the instruction names none all are of one."""
    at = line.find("replica_groups=")
    if at < 0:
        return [range(devices)]
    # The rest of a line is no part of it, and would only keep the answer from being remembered.
    said = re.split(r", (?!device_ids)\w+=", line[at + len("replica_groups=") :])[0]
    return _groups(said, devices)


def pairs(line: str) -> Sequence[Sequence[int]]:
    """(from, to) of a permute."""
    found = PAIRS.search(line)
    return _named(found[1]) if found else []


def spans(together: Sequence[Sequence[int]], a_slice: int) -> int:
    """Over how many slices of so many devices the widest of the groups goes."""
    return max((len({at // a_slice for at in each}) for each in together), default=1)


@lru_cache(maxsize=1024)
def _groups(said: str, devices: int) -> Sequence[Sequence[int]]:
    if axes := MESH.match(said):
        return _along(*axes.groups())
    if iota := IOTA.match(said):
        return _range(iota[3]).reshape(int(iota[1]), int(iota[2])).tolist()
    return _named(said) if NAMED.match(said) else [range(devices)]


def _named(said: str) -> list[list[int]]:
    return [[int(n) for n in each.split(",") if n] for each in re.findall(r"\{([\d,]*)\}", said)]


def _range(said: str) -> np.ndarray:
    """ "[2,4]T(1,0)": 0 to 7 in that shape, transposed."""
    found = re.match(r"\[([\d,]*)\](?:T\(([\d,]*)\))?", said)
    assert found, said
    sides = [int(n) for n in found[1].split(",")]
    made = np.arange(math.prod(sides)).reshape(sides)
    return made.transpose([int(n) for n in found[2].split(",")]) if found[2] else made


def _along(sides: str, order: str | None, taken: str) -> Sequence[Sequence[int]]:
    """Groups along the axes taken of a mesh, each of which may be a part of one of its sides."""
    size = {name: int(n) for name, n in re.findall(r"'(\w+)'=(\d+)", sides)}
    chosen: dict[str, list[tuple[int, int]]] = {}  # axis -> (product of what is before, size)
    for name, before, part in AXIS.findall(taken):
        chosen.setdefault(name, []).append((int(before or 1), int(part or size[name])))
    shape, together, apart = [], [], []
    for name, side in size.items():
        done = 1
        for before, part in sorted(chosen.get(name, [])):
            apart.append(len(shape))
            together.append(len(shape) + 1)
            shape += [before // done, part]
            done = before * part
        apart.append(len(shape))
        shape.append(side // done)
    if not order:
        found = np.arange(math.prod(shape))
    elif order.startswith("["):
        found = _range(order)
    else:
        found = np.array([int(n) for n in order.split(",")])
    count = math.prod(shape[axis] for axis in together)
    return found.reshape(shape).transpose(apart + together).reshape(-1, count).tolist()
