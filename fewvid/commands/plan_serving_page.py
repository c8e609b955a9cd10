"""A forecast of encoding or answering in words, a few lines for a terminal."""

from __future__ import annotations

from fewvid.commands.plan_page import GIB, as_bytes, as_flops, line, many, of, peaks
from fewvid.inference.forecast import TOKEN, Forecast, PartForecast
from fewvid.parallel.mesh import said_of
from fewvid.parallel.roofline import DAY
from fewvid.parallel.topology import Topology


def page(found: Forecast, topology: Topology, mesh: dict[str, int]) -> str:
    """The forecast over the lines of a paragraph."""
    sides = said_of(mesh, " ")
    asked = found.asked
    clips = f"{of(asked.rows, 'clip')} of {of(asked.frames, 'frame')}"
    said = f"{clips}, {asked.keep} tokens kept of each, prompts of {found.prompt} ids, answers of "
    lines = [
        f"{found.what} on {topology.name}: {of(topology.chips, 'chip')}, mesh {sides}",
        line("at once", clips if found.what == "encode" else f"{said}{asked.tokens}"),
        line("memory", _memory(found)),
    ]
    if found.advice:
        lines.append(line("change", found.advice))
    for part in found.parts:
        lines += _part(part)
    lines += _times(found, topology)
    return "\n".join(lines) + "\n"


def _memory(found: Forecast) -> str:
    parts = {
        "weights": found.held.weights,
        "cache": found.held.cache,
        "the largest part": found.peak,
    }
    total = sum(parts.values())
    unit, name_of_unit = (GIB, "GiB") if total >= GIB / 10 else (2**20, "MiB")
    said = " + ".join(f"{name} {size / unit:.2f}" for name, size in parts.items() if size)
    if found.hbm is None:
        return f"{said} = {total / unit:.2f} {name_of_unit} a device"
    fits = "fits" if found.fits else "does not fit"
    return (
        f"{said} = {total / unit:.2f} {name_of_unit} of {found.hbm / GIB:.2f} GiB a device: {fits}"
    )


def _part(part: PartForecast) -> list[str]:
    if part.refused:
        return [line(part.name, f"the compiler says: {part.refused}")]
    sent = ", ".join(f"{kind} {as_bytes(each.bytes)}" for kind, each in part.links.items())
    said = f"{as_flops(part.flops)}, sends {sent or 'nothing'}"
    at = part.estimate
    if at is not None:
        said += (
            f"; compute {_ms(at.compute)}, memory {_ms(at.memory)}, links {_ms(at.links)}: "
            f"{_ms(at.best)} ms if they overlap, {_ms(at.apart)} if not"
        )
    return [line("each token" if part.name == TOKEN else part.name, said)]


def _times(found: Forecast, topology: Topology) -> list[str]:
    chip = topology.chip
    if chip is None or found.first is None or found.whole is None:
        why = "no data sheet says what a CPU can do" if chip is None else "it does not fit"
        return [line("time", f"not estimated: {why}")]
    rows = found.asked.rows
    day = [many(rows * DAY / seconds) for seconds in reversed(found.whole)]
    best, apart = found.first
    lines = []
    if found.what == "generate":
        lines.append(line("first token", f"after {best:.3g} to {apart:.3g} s"))
        best, apart = found.whole
        lines.append(
            line("whole answer", f"after {best:.3g} to {apart:.3g} s, of all rows at once")
        )
    else:
        lines.append(line("time", f"{best:.3g} to {apart:.3g} s"))
    lines.append(line("a day", f"{day[0]} to {day[1]} clips"))
    lines.append(line("", peaks(topology)))
    return lines


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3g}"
