"""What answering will need of chips that need not be there, and how long it takes at best.

compiled parts (`ahead`), or formulas on a GPU --> memory and links of a chip
shapes --> operations and memory traffic --> `parallel.roofline` --> seconds of each part
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.sharding import Mesh

from fewvid.errors import UserError
from fewvid.inference import ahead
from fewvid.inference.ahead import Asked, Held, Part
from fewvid.models import flops, traffic
from fewvid.models.attention import holds_scores
from fewvid.models.config import LvlmConfig, candidates
from fewvid.parallel import roofline
from fewvid.parallel.ahead import Compiled, compiled
from fewvid.parallel.collectives import Sent, sent
from fewvid.parallel.mesh import batch_rows, rows_said
from fewvid.parallel.topology import Topology

WHATS = ("encode", "generate")
TOKEN = "token"  # the part that is run once a token of an answer


class Cost(NamedTuple):
    """Of a part over all rows: operations, bytes through memory, weights that it multiplies by."""

    flops: float
    memory: float
    weights: int


@dataclass(frozen=True)
class PartForecast:
    """Of one call of a part. times: calls an answer; temporaries, arguments: bytes of a device."""

    name: str
    times: int
    flops: float
    arguments: int
    temporaries: int
    refused: str
    links: dict[str, Sent]
    estimate: roofline.Estimate | None
    compile_seconds: float | None


@dataclass(frozen=True)
class Forecast:
    """Of all parts. prompt: ids of one; hbm: bytes of a device, None where it has no data sheet.

    first, whole: seconds (best and apart of `roofline.Estimate`) to the first token and to the
    end of the answers, of all rows at once; None where they are not estimated. advice: what to
    change where it does not fit, "" where it does.
    """

    what: str
    asked: Asked
    prompt: int
    held: Held
    hbm: int | None
    advice: str
    parts: list[PartForecast]
    first: tuple[float, float] | None
    whole: tuple[float, float] | None

    @property
    def peak(self) -> int:
        """Bytes of a device beside what is held: those of the part that needs most."""
        return max(part.arguments + part.temporaries for part in self.parts)

    @property
    def fits(self) -> bool:
        """Whether it fits a device, as far as can be known."""
        return not self.advice

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dicts, ready for JSON."""
        return dataclasses.asdict(self) | {"peak": self.peak, "fits": self.fits}


def forecast(
    what: str,
    config: LvlmConfig,
    asked: Asked,
    topology: Topology,
    mesh: Mesh,
    dtype: Any,
    report: Callable[[str], None],
) -> Forecast:
    """what: one of WHATS. report: takes what cannot be split.

    Raises UserError where the rows do not divide over the mesh, or the decoder is too short.
    """
    _check(what, config, asked, mesh)
    params = ahead.weights(config, mesh, dtype, report)
    trace = ahead.encoding if what == "encode" else ahead.answering
    parts, held = trace(config, asked, mesh, dtype, params)
    costs = _costs(config, asked, topology.platform, dtype)
    found = []
    for part in parts:
        cost, seconds = costs[part.name], None
        if topology.platform == "gpu":
            made = Compiled("", _temporaries(part, config, asked, mesh, dtype))
            links = _links(part, cost, config, asked, mesh, dtype)
        else:
            begun = time.perf_counter()
            made = compiled(part.traced, topology.platform)
            seconds = time.perf_counter() - begun
            links = sent(made.text, mesh.shape["slice"], mesh.size) if made.text else {}
        times = asked.tokens - 1 if part.name == TOKEN else 1
        made_of: dict[str, Any] = {"temporaries": made.temporaries, "refused": made.refused}
        at = None if made.refused else _estimate(cost, links, topology, mesh, dtype)
        about = (part.name, times, cost.flops, part.arguments)
        found.append(
            PartForecast(*about, **made_of, links=links, estimate=at, compile_seconds=seconds)
        )
    devices = mesh.size / topology.chips
    hbm = int(topology.chip.hbm / devices) if topology.chip else None
    first, whole = _seconds(found)
    whole_thing = Forecast(what, asked, asked.prompt(config), held, hbm, "", found, first, whole)
    return dataclasses.replace(whole_thing, advice=_advice(whole_thing, mesh))


def _check(what: str, config: LvlmConfig, asked: Asked, mesh: Mesh) -> None:
    if asked.rows % batch_rows(mesh):
        raise UserError(
            f"--rows {asked.rows} does not divide over {rows_said(mesh)}; make it a multiple of "
            f"{batch_rows(mesh)}"
        )
    needed, most = asked.prompt(config) + asked.tokens, config.decoder.max_length
    if what == "generate" and needed > most:
        raise UserError(
            f"a prompt of {asked.prompt(config)} ids and an answer of {asked.tokens} exceed the "
            f"{most} tokens that the model reads; use fewer --tokens, or fewer frames or a smaller "
            "keep in the config's last stage"
        )


def _costs(config: LvlmConfig, asked: Asked, platform: str, dtype: Any) -> dict[str, Cost]:
    """By part, of one call over all rows."""
    size, rows, length = jnp.dtype(dtype).itemsize, asked.rows, asked.prompt(config)
    seen = config.encoder.tokens + config.encoder.cls_token
    frames = rows * asked.frames
    encoder, decoder = flops.encoder_weights(config), flops.decoder_weights(config)
    chosen = 0 if asked.keep == candidates(config) else config.encoder.width
    looked = size * frames * config.encoder.tokens * chosen
    shown = size * frames * (config.encoder.tokens + asked.keep) * config.adapter.width
    slots = size * flops.cache_slot(config)
    middle = length + asked.tokens // 2
    held = [holds_scores(platform, dtype, count) for count in (seen, length)]
    return {
        "encode": Cost(
            frames * flops.encoder(config),
            traffic.encoder(config, frames, size, scores=held[0]),
            encoder,
        ),
        "select": Cost(frames * flops.sampler(config, asked.keep, config.sampler.name), looked, 0),
        "adapt": Cost(rows * flops.adapter(config, asked.keep, asked.frames), shown, 0),
        "prompt": Cost(
            rows * flops.decoder(config, length),
            rows * (traffic.decoder(config, length, size, scores=held[1]) + length * slots),
            decoder,
        ),
        TOKEN: Cost(rows * flops.decode_step(config, middle), rows * middle * slots, decoder),
    }


def _estimate(
    cost: Cost, links: Mapping[str, Sent], topology: Topology, mesh: Mesh, dtype: Any
) -> roofline.Estimate | None:
    if topology.chip is None:
        return None
    a_chip = mesh.size / topology.chips
    # What is split over fsdp is gathered for each call: written once more, and read then.
    passes = 1 + 2 * (mesh.shape["fsdp"] > 1)
    weights = passes * jnp.dtype(dtype).itemsize * cost.weights / mesh.shape["tensor"]
    load = roofline.Load(
        useful=cost.flops / topology.chips,
        done=cost.flops / topology.chips,
        memory=cost.memory / topology.chips + weights * a_chip,
        links=sum(each.bytes - each.dcn for each in links.values()) * a_chip,
        dcn=sum(each.dcn for each in links.values()) * a_chip,
    )
    return roofline.estimate(load, topology.chip)


def _seconds(
    parts: list[PartForecast],
) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    """To the first token, and to the end of the answers."""
    first, rest = [0.0, 0.0], [0.0, 0.0]
    for part in parts:
        if part.estimate is None:
            return None, None
        into = rest if part.name == TOKEN else first
        into[0] += part.times * part.estimate.best
        into[1] += part.times * part.estimate.apart
    return (first[0], first[1]), (first[0] + rest[0], first[1] + rest[1])


def _temporaries(part: Part, config: LvlmConfig, asked: Asked, mesh: Mesh, dtype: Any) -> int:
    """Bytes of a device, by formula: what a layer has at once, of the parts that have most."""
    size, tensor = jnp.dtype(dtype).itemsize, mesh.shape["tensor"]
    rows = asked.rows // batch_rows(mesh)
    if part.name == "encode":
        c = config.encoder
        length = c.tokens + c.cls_token
        scores = 6 * c.heads * length**2 * holds_scores("gpu", dtype, length)
        return rows * asked.frames * (size * length * (2 * c.width + 2 * c.mlp_width) + scores)
    c, length = config.decoder, asked.prompt(config) if part.name == "prompt" else 1
    inside = (2 * c.heads + 2 * c.kv_heads) * c.head_dim + 3 * c.mlp_width
    scores = 6 * c.heads * length**2 * holds_scores("gpu", dtype, length) // tensor
    layer = rows * (size * length * (2 * c.width + inside // tensor) + scores)
    gathered = 2 * size * c.width * inside // tensor * (mesh.shape["fsdp"] > 1)
    return layer + gathered + 4 * rows * c.vocab_size


def _links(
    part: Part, cost: Cost, config: LvlmConfig, asked: Asked, mesh: Mesh, dtype: Any
) -> dict[str, Sent]:
    """What leaves a device in a call, by formula: weights gathered, activations summed."""
    size, tensor, fsdp = jnp.dtype(dtype).itemsize, mesh.shape["tensor"], mesh.shape["fsdp"]
    rows, found = asked.rows // batch_rows(mesh), {}
    if fsdp > 1 and cost.weights:
        found["all-gather"] = Sent(1, int(size * cost.weights / tensor * (fsdp - 1) / fsdp))
    of = {"prompt": asked.prompt(config), TOKEN: 1}
    if tensor > 1 and (part.name in of or part.name == "encode"):
        c = config.encoder if part.name == "encode" else config.decoder
        length = of.get(part.name, asked.frames * config.encoder.tokens)
        summed = 2 * c.depth * 2 * size * rows * length * c.width * (tensor - 1) / tensor
        found["all-reduce"] = Sent(2 * c.depth, int(summed))
    return found


def _advice(found: Forecast, mesh: Mesh) -> str:
    """What to change first where it does not fit; "" where it does."""
    refused = any(part.refused for part in found.parts)
    held = found.held.weights + found.held.cache
    if found.hbm is None or (not refused and held + found.peak <= found.hbm):
        return ""
    if found.held.weights > found.hbm / 2:
        return "split the weights: --config.mesh.data=1 --config.mesh.tensor=-1, or more chips"
    if found.asked.rows > batch_rows(mesh):
        fewer = max(found.asked.rows // 2, batch_rows(mesh))
        return f"{found.asked.rows} rows at once are too many: --rows {fewer}"
    return "one row a group is too much: split its work by --config.mesh.tensor=-1, or more chips"
