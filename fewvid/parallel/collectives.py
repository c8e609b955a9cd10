"""What a compiled program sends between devices, read from its HLO text.

The text has a loop's body once; here it counts as often as the loop turns. On TPU one collective
may be drawn out over several fusions, which then share its channel and count as one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

KINDS = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")
BYTES = {"pred": 1, "bf16": 2, "f16": 2, "f32": 4, "f64": 8}
HEADER = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][\w\-]*)\(")
ARRAY = re.compile(r"\b([a-z]+\d*)[a-z0-9]*\[([\d,]*)\]")
CALLED = re.compile(r"(?:calls|to_apply|body|true_computation|false_computation)=%?([\w.\-]+)")
BRANCHES = re.compile(r"(?:branch_computations|called_computations)=\{([^}]*)\}")
FUSED_SCATTER = "all-reduce-scatter"  # what a TPU program calls a reduce-scatter


@dataclass(frozen=True)
class Sent:
    """times: how often in a step; bytes: that leave one device for it, over all those times."""

    times: int = 0
    bytes: int = 0

    def __add__(self, other: Sent) -> Sent:
        return Sent(self.times + other.times, self.bytes + other.bytes)


@dataclass
class _Computation:
    own: dict[str, tuple[str, int]] = field(default_factory=dict)  # channel -> (kind, bytes)
    fused: list[str] = field(default_factory=list)
    called: list[tuple[str, int]] = field(default_factory=list)  # (name, how often)


def sent(text: str) -> dict[str, Sent]:
    """{kind: Sent} of a step, for the kinds that the program has.

    A device of n sends, by rings, (n - 1) / n of an all-gather's result or of what a
    reduce-scatter or an all-to-all takes, twice that of what an all-reduce takes, and all of a
    permute. Every branch of a conditional is counted.
    """
    computations, entry = _read(text)
    total: dict[str, Sent] = {}

    def gather(name: str, found: dict[str, tuple[str, int]]) -> None:
        here = computations[name]
        found.update(here.own)
        for inner in here.fused:
            gather(inner, found)

    def walk(name: str, times: int) -> None:
        found: dict[str, tuple[str, int]] = {}
        gather(name, found)
        for kind, size in found.values():
            total[kind] = total.get(kind, Sent()) + Sent(times, times * size)
        for inner, often in computations[name].called:
            walk(inner, times * often)

    walk(entry, 1)
    return {kind: total[kind] for kind in KINDS if kind in total}


def _read(text: str) -> tuple[dict[str, _Computation], str]:
    bodies = dict(_bodies(text))
    everyone = re.search(r"num_partitions=(\d+)", text)
    devices = int(everyone[1]) if everyone else 1
    computations = {
        name: _computation(name, lines, bodies, devices) for name, lines in bodies.items()
    }
    entry = next(line for line in text.splitlines() if line.startswith("ENTRY"))
    found = HEADER.match(entry)
    assert found, entry
    return computations, found[1]


def _bodies(text: str) -> Iterator[tuple[str, list[str]]]:
    name, lines = "", []
    for line in text.splitlines():
        if header := HEADER.match(line):
            name, lines = header[1], []
        elif line.startswith("}") and name:
            yield name, lines
            name = ""
        else:
            lines.append(line)


def _computation(
    name: str, lines: list[str], bodies: dict[str, list[str]], devices: int
) -> _Computation:
    here = _Computation()
    for line in lines:
        if not (found := INSTRUCTION.match(line)):
            continue
        label, kind, code = found[1], found[2], found[3]
        collective = code.removesuffix("-start")
        if collective in KINDS:
            if collective == "all-reduce" and name.lstrip("%").startswith(FUSED_SCATTER):
                size = _size(kind, False)
                collective, size = "reduce-scatter", size // max(_group(line, devices), 1)
            else:
                size = _size(kind, code != collective)
            channel = re.search(r"channel_id=(\d+)", line)
            key = channel[1] if channel else f"{name}/{label}"
            here.own[key] = (collective, _leaving(collective, size, _group(line, devices)))
        elif code == "fusion":
            here.fused += CALLED.findall(line)
        elif code == "while":
            condition = re.search(r"condition=%?([\w.\-]+)", line)
            assert condition, line
            turns = _turns(line, bodies[condition[1]])
            here.called += [(inner, turns) for inner in CALLED.findall(line)]
        elif code in ("call", "conditional", "async-start"):
            inner = CALLED.findall(line)
            for several in BRANCHES.findall(line):
                inner += [one.strip().lstrip("%") for one in several.split(",")]
            here.called += [(one, 1) for one in inner]
    return here


def _turns(line: str, condition: list[str]) -> int:
    """How often a loop turns: what the compiler says, or what its counter is compared with."""
    if said := re.search(r'"known_trip_count":\{"n":"(\d+)"', line):
        return int(said[1])
    limits = [int(n) for n in re.findall(r"constant\((\d+)\)", "\n".join(condition))]
    return max(limits, default=1)


def _size(kind: str, starts: bool) -> int:
    """Bytes of a result; of what starts, a tuple (in, out, ...), those that come out."""
    arrays = [
        math.prod(int(side) for side in sides.split(",") if side) * _bytes_of(dtype)
        for dtype, sides in ARRAY.findall(kind)
        if not (starts and dtype == "u32" and not sides)
    ]
    if starts and kind.startswith("(") and len(arrays) > 1:
        arrays = arrays[len(arrays) // 2 :]
    return sum(arrays)


def _bytes_of(dtype: str) -> int:
    if dtype in BYTES:
        return BYTES[dtype]
    bits = re.search(r"\d+", dtype)
    return max(1, int(bits[0]) // 8) if bits else 1


def _group(line: str, devices: int) -> int:
    """How many devices take part together."""
    if axes := re.search(r"replica_groups=mesh\[([^\]]*)\] *\{([^}]*)\}", line):
        sides = dict(re.findall(r"'(\w+)'=(\d+)", axes[1]))
        return math.prod(int(sides[axis]) for axis in re.findall(r"'(\w+)'", axes[2]))
    if iota := re.search(r"replica_groups=\[(\d+),(\d+)\]<=", line):
        return int(iota[2])
    if first := re.search(r"replica_groups=\{\{([\d,]+)\}", line):
        return len(first[1].split(","))
    return devices


def _leaving(kind: str, result: int, group: int) -> int:
    if kind == "collective-permute":
        return result
    if kind == "reduce-scatter":
        return result * (group - 1)  # the result is 1 / n of what goes in
    return (2 if kind == "all-reduce" else 1) * result * (group - 1) // group
