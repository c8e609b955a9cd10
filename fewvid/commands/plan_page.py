"""A forecast of a stage in words, a few lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from fewvid.parallel.mesh import said_of
from fewvid.parallel.topology import Topology
from fewvid.training.forecast import Forecast
from fewvid.training.measured import Measured
from fewvid.training.plan import StagePlan
from fewvid.training.search import Setting

GIB = 2**30
FEW = 5  # settings of a search that are shown


def page(found: Forecast, topology: Topology, mesh: dict[str, int]) -> str:
    """The forecast over the lines of a paragraph."""
    sides = said_of(mesh, " ")
    parts = f" in {found.accumulate} parts" if found.accumulate > 1 else ""
    lines = [
        f"{found.stage} on {topology.name}: {of(topology.chips, 'chip')}, mesh {sides}",
        line(
            "a step",
            f"{found.rows} rows{parts} of {found.length} tokens, "
            f"{of(found.frames, 'frame')} of {found.keep} tokens kept",
        ),
        line("memory", _memory(found)),
    ]
    if found.refused:
        lines.append(line("", f"the compiler says: {found.refused}"))
    if found.advice:
        lines.append(line("change", found.advice))
    lines.append(line("operations", _operations(found)))
    if not found.refused:
        lines.append(line("sent", _links(found)))
    lines += _times(found, topology)
    return "\n".join(lines) + "\n"


def measured_page(took: Measured, planned: Forecast, topology: Topology) -> str:
    """What a step took beside what was planned, over the lines of a paragraph."""
    at, chip, seconds = planned.estimate, topology.chip, took.times.seconds
    time = f"{seconds:.4g} s [{took.times.q1:.4g}, {took.times.q3:.4g}], {took.times.runs} steps"
    lines = [
        f"{took.stage} measured on {took.device}, made-up weights and data, loss {took.loss:.3g}",
        line("time", time),
    ]
    if at and chip:
        useful = sum(part.useful for part in planned.parts.values()) / topology.chips
        lines.append(
            line(
                "",
                f"{seconds / at.best:.2f} to {seconds / at.apart:.2f} times the bounds, "
                f"{useful / seconds / 1e12:.0f} TFLOP/s a chip of use (MFU "
                f"{useful / seconds / chip.flops:.0%})",
            )
        )
    ratio = f", {took.temporaries / planned.temporaries:.2f} times what was planned"
    lines.append(
        line("temporaries", as_bytes(took.temporaries) + (ratio if planned.temporaries else ""))
    )
    if took.peak:
        lines.append(line("peak", f"{as_bytes(took.peak)} of a device, while setting up too"))
    return "\n".join(lines) + "\n"


def found_page(plan: StagePlan, best: Sequence[Setting], topology: Topology) -> str:
    """The first few settings of a search, each with the flags that plan it."""
    lines = [
        f"{plan.stage.name} on {topology.name}: {len(best)} settings fit by formulas (nothing was "
        f"compiled); the best of them{' are' if best else ': none, take a slice of more chips'}"
    ]
    for one in best[:FEW]:
        lines.append(
            line(
                f"{one.rate:.4g} rows/s",
                f"{one.rows} rows a group, {one.bytes / GIB:.1f} GiB a device, {one.seconds:.3g} s "
                f"a step (MFU {one.mfu:.0%}) if nothing overlaps:",
            )
        )
        lines.append(line("", one.flags(plan.index)))
    return "\n".join(lines) + "\n"


def _memory(found: Forecast) -> str:
    held = found.held
    total = held.total + found.temporaries
    parts = {
        "trained": held.trained,
        "frozen": held.frozen,
        "optimizer": held.optimizer,
        "batch": held.batch,
        "temporaries": found.temporaries,
    }
    unit, name_of_unit = (GIB, "GiB") if total >= GIB / 10 else (2**20, "MiB")
    said = " + ".join(f"{name} {size / unit:.2f}" for name, size in parts.items())
    if found.hbm is None:
        return f"{said} = {total / unit:.2f} {name_of_unit} a device"
    fits = "fits" if found.fits else "does not fit"
    return (
        f"{said} = {total / unit:.2f} {name_of_unit} of {found.hbm / GIB:.2f} GiB a device: {fits}"
    )


def _operations(found: Forecast) -> str:
    parts = ", ".join(f"{name} {as_flops(part.useful)}" for name, part in found.parts.items())
    useful, done = (
        sum(getattr(part, kind) for part in found.parts.values()) for kind in ("useful", "done")
    )
    return f"{parts}: {as_flops(useful)} of use, {as_flops(done)} done"


def _links(found: Forecast) -> str:
    said = ", ".join(
        f"{kind} {as_bytes(sent.bytes)}"
        + (f" ({as_bytes(sent.dcn)} of it over DCN)" if sent.dcn else "")
        + (f" in {sent.times}" if found.compile_seconds is not None else "")
        for kind, sent in found.links.items()
    )
    return f"{said} from each device" if said else "nothing"


def _times(found: Forecast, topology: Topology) -> list[str]:
    at, chip = found.estimate, topology.chip
    if at is None or chip is None or found.hours is None:
        why = "it does not fit" if found.refused else "no data sheet says what a CPU can do"
        return [line("time", f"not estimated: {why}")]
    day = ", ".join(
        f"{many(best)} {name}" if best == apart else f"{many(apart)} to {many(best)} {name}"
        for name, (best, apart) in found.a_day.items()
    )
    best, apart = found.hours
    dcn = f", DCN {at.dcn:.3g} s" if topology.slices > 1 else ""
    chips = topology.chips
    return [
        line(
            "time",
            f"compute {at.compute:.3g} s, memory {at.memory:.3g} s, links {at.links:.3g} s"
            f"{dcn}: {at.best:.3g} s (MFU {at.mfu_best:.0%}) if they overlap, "
            f"{at.apart:.3g} s (MFU {at.mfu_apart:.0%}) if not",
        ),
        line("", peaks(topology)),
        line("a day", day),
        line(
            f"{found.steps} steps",
            f"{best:.3g} to {apart:.3g} hours, {many(best * chips)} to {many(apart * chips)} "
            "chip-hours",
        ),
    ]


def peaks(topology: Topology) -> str:
    """The figures of a chip that an estimate is counted with."""
    chip = topology.chip
    assert chip is not None
    dcn = f"; between slices {chip.dcn_rate / 1e9:.3g} GB/s of DCN" if topology.slices > 1 else ""
    return (
        f"at {chip.flops / 1e12:.0f} TFLOP/s, {chip.hbm_rate / 1e9:.0f} GB/s of memory and "
        f"{chip.link_rate / 1e9:.0f} GB/s of links{dcn} a chip, its peaks: a bound, not a forecast"
    )


def line(name: str, said: str) -> str:
    """One thing that is said, under its name."""
    return f"  {name:12} {said}"


def of(count: int, what: str) -> str:
    """ "1 chip", "8 chips"."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def as_bytes(count: int) -> str:
    """ "3.5 GiB"."""
    for unit, size in (("GiB", GIB), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"


def as_flops(count: float) -> str:
    """ "27.2 PFLOP"."""
    for unit, size in (("PFLOP", 1e15), ("TFLOP", 1e12), ("GFLOP", 1e9)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e6:.3g} MFLOP"


def many(count: float) -> str:
    """ "975 M"."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.3g}"
