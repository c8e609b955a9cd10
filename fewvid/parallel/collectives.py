"""What a compiled program sends between devices, read from its HLO text.

The text has a loop's body once; here it counts as often as the loop turns. On TPU one collective
may be drawn out over several fusions, which then share its channel and count as one.

Of a program over several slices of TPUs the text is that of one slice, and what goes to the others
is sent by way of the hosts, to Megascale, which says what kind of collective it is. Elsewhere
a group may have devices of several slices: it is counted as Megascale does it, with a part of the
data for each device to exchange with its like in the other slices.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from fewvid.parallel.replica_groups import groups, pairs, spans

KINDS = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")
BYTES = {"pred": 1, "bf16": 2, "f16": 2, "f32": 4, "f64": 8}
HEADER = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][\w\-]*)\(")
ARRAY = re.compile(r"\b([a-z]+\d*)[a-z0-9]*\[([\d,]*)\]")
CALLED = re.compile(r"(?:calls|to_apply|body|true_computation|false_computation)=%?([\w.\-]+)")
BRANCHES = re.compile(r"(?:branch_computations|called_computations)=\{([^}]*)\}")
ACROSS = re.compile(r'_xla_megascale_transfer_type="(\w+)"')
ONE_TO_ONE = "one-to-one"  # what Megascale calls a permute
FUSED_SCATTER = "all-reduce-scatter"  # what a TPU program calls a reduce-scatter


@dataclass(frozen=True)
class Sent:
    """times: how often in a step; bytes: that leave one device for it, over all those times;
    dcn: those of them that go to other slices.
    """

    times: int = 0
    bytes: int = 0
    dcn: int = 0

    def __add__(self, other: Sent) -> Sent:
        return Sent(self.times + other.times, self.bytes + other.bytes, self.dcn + other.dcn)


@dataclass(frozen=True)
class _Program:
    """devices: that the text is of; slices: of the mesh; a_slice: devices of one."""

    devices: int
    slices: int
    a_slice: int


@dataclass
class _Computation:
    own: dict[str, tuple[str, Sent]] = field(default_factory=dict)  # channel -> (kind, of once)
    fused: list[str] = field(default_factory=list)
    called: list[tuple[str, int]] = field(default_factory=list)  # (name, how often)


def sent(text: str, slices: int = 1, devices: int | None = None) -> dict[str, Sent]:
    """{kind: Sent} of a step, for the kinds that the program has.

    slices: that its mesh has, whose devices are neighbours in it; devices: of the mesh, where the
    text may be of one slice.

    A device of n sends, by rings, (n - 1) / n of an all-gather's result or of what a
    reduce-scatter or an all-to-all takes, twice that of what an all-reduce takes, and all of a
    permute. Every branch of a conditional is counted.
    """
    computations, entry = _read(text, slices, devices)
    total: dict[str, Sent] = {}

    def gather(name: str, found: dict[str, tuple[str, Sent]]) -> None:
        here = computations[name]
        found.update(here.own)
        for inner in here.fused:
            gather(inner, found)

    def walk(name: str, times: int) -> None:
        found: dict[str, tuple[str, Sent]] = {}
        gather(name, found)
        for kind, once in found.values():
            all_of = Sent(times, times * once.bytes, times * once.dcn)
            total[kind] = total.get(kind, Sent()) + all_of
        for inner, often in computations[name].called:
            walk(inner, times * often)

    walk(entry, 1)
    return {kind: total[kind] for kind in KINDS if kind in total}


def _read(text: str, slices: int, devices: int | None) -> tuple[dict[str, _Computation], str]:
    bodies = dict(_bodies(text))
    everyone = re.search(r"num_partitions=(\d+)", text)
    here = int(everyone[1]) if everyone else 1
    about = _Program(here, slices, (devices or here) // slices)
    computations = {
        name: _computation(name, lines, bodies, about) for name, lines in bodies.items()
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
    name: str, lines: list[str], bodies: dict[str, list[str]], about: _Program
) -> _Computation:
    here = _Computation()
    for line in lines:
        if not (found := INSTRUCTION.match(line)):
            continue
        label, kind, code = found[1], found[2], found[3]
        collective = code.removesuffix("-start")
        if collective in KINDS:
            together = groups(line, about.devices)
            group = len(together[0])
            if collective == "all-reduce" and name.lstrip("%").startswith(FUSED_SCATTER):
                size = _size(kind, False)
                collective, size = "reduce-scatter", size // group
            else:
                size = _size(kind, code != collective)
            if collective == "collective-permute":
                together = pairs(line)
            over = spans(together, about.a_slice)
            whole = _leaving(collective, size, group)
            here.own[_key(name, label, line)] = (
                collective,
                Sent(1, whole, _to_other_slices(collective, whole, group, over)),
            )
        elif code == "send" and (across := ACROSS.search(line)):
            collective, size = _across(across[1], kind, about.slices)
            here.own[f"dcn/{_key(name, label, line)}"] = (collective, Sent(1, size, size))
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


def _key(name: str, label: str, line: str) -> str:
    """What an instruction is counted once by: its channel, or where it stands."""
    channel = re.search(r"channel_id=(\d+)", line)
    return channel[1] if channel else f"{name}/{label}"


def _across(said: str, kind: str, slices: int) -> tuple[str, int]:
    """The kind of collective that Megascale makes of a buffer, and the bytes that leave by DCN."""
    collective = said.lower().replace("_", "-")
    buffers = kind.replace("u32[]", "").replace("token[]", "")
    size = _size(buffers, False)
    if collective == ONE_TO_ONE:
        return "collective-permute", size
    if collective not in KINDS:
        raise ValueError(f"a program sends by {said}, which is no collective known here")
    if collective == "all-gather":
        return collective, size * (slices - 1)
    return collective, (2 if collective == "all-reduce" else 1) * size * (slices - 1) // slices


def _leaving(kind: str, result: int, group: int) -> int:
    if kind == "collective-permute":
        return result
    if kind == "reduce-scatter":
        return result * (group - 1)  # the result is 1 / n of what goes in
    return (2 if kind == "all-reduce" else 1) * result * (group - 1) // group


def _to_other_slices(kind: str, leaving: int, group: int, over: int) -> int:
    """Of what leaves a device for a group that goes over several slices, what goes by DCN.

    With n devices of s slices: of n - 1 parts of the data s - 1, each to one of its like; of an
    all-to-all all that is for other slices.
    """
    if over == 1:
        return 0
    if kind == "collective-permute":
        return leaving
    if kind == "all-to-all":
        return leaving * (group - group // over) // (group - 1)
    return leaving * (over - 1) // (group - 1)
