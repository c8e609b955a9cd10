"""Says what a run will need of chips that are not there, before they are paid for.

  python -m fewvid plan --config configs/instruct.py:vicuna_7b --topology v5e:16x16
  python -m fewvid plan --config configs/s3_iv.py:tiny --topology cpu:8 --config.mesh.fsdp=4
  python -m fewvid plan --config configs/instruct.py:vicuna_7b --topology 2xv5e:8x16 \
    --config.mesh.slice=2

The step of each stage is compiled for the slice (v4, v5e, v5p, v6e: by libtpu, which needs no TPU;
cpu:N: by N made-up devices) with nothing of the model allocated; for a GPU (gpu:h200x8) all is by
formulas. Any key of the config can be set, as for `train`. --search compiles nothing: it says which
settings fit by formulas, the best first, and how to plan one of them.

  python -m fewvid plan --config configs/instruct.py:vicuna_7b --topology v5e:2x2 \
    --what generate --config.mesh.data=1 --config.mesh.tensor=4 --rows 8

plans answering by the model that the config trains, with the frames and tokens of its last stage.
Where the chips are there, --measure runs each stage's step on them, with made-up weights and data,
and says how far from the plan it is.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewvid.commands import places
from fewvid.commands.configs import read_config, with_overrides
from fewvid.cores import cores
from fewvid.errors import UserError
from fewvid.parallel import gpu_memory

ANSWER = 64  # tokens of one, where --tokens does not say

if TYPE_CHECKING:
    from fewvid.parallel.topology import Topology
    from fewvid.training.forecast import Forecast
    from fewvid.training.measured import Measured


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `plan`."""
    parser.add_argument(
        "--config", required=True, metavar="FILE[:ARG]", help="such as configs/s3_iv.py:vicuna_7b"
    )
    parser.add_argument(
        "--topology",
        required=True,
        help="v5e:16x16, v5p:4x4x8, cpu:8, gpu:h200x8 and the like; 2xv5e:16x16: two slices",
    )
    parser.add_argument(
        "--search", action="store_true", help="try meshes, rows a chip and remat by formulas alone"
    )
    parser.add_argument(
        "--what",
        choices=("train", "encode", "generate"),
        default="train",
        help="the steps of the stages (default), frames to tokens alone, or whole answers",
    )
    parser.add_argument(
        "--rows", type=_count, help="encode, generate: clips at once (default: one a data group)"
    )
    parser.add_argument(
        "--tokens", type=_count, help="generate: how many an answer has (default 64)"
    )
    parser.add_argument(
        "--measure", action="store_true", help="train: time the steps too, on the chips named"
    )
    parser.add_argument("--json", type=places.path, metavar="F", help="write all numbers to F too")
    with_overrides(parser)


def run(args: argparse.Namespace) -> int:
    """Plans every stage and prints it; 0 also where one does not fit, which is an answer."""
    from fewvid.parallel import topology as topologies

    topology = topologies.find(args.topology)
    _check_flags(args)
    config = read_config(args.config, args.overrides)
    if args.json:
        places.check_file(args.json.expanduser(), "--json")
    if args.measure and topology.platform != "cpu":
        gpu_memory.take_most()
    else:
        topologies.quiet()
    import jax

    from fewvid.commands.plan_page import measured_page, page
    from fewvid.models import lvlm
    from fewvid.parallel.mesh import make_mesh
    from fewvid.training.forecast import forecast
    from fewvid.training.plan import make_plan
    from fewvid.training.sizes import model_of
    from fewvid.training.stage import parse
    from fewvid.training.start import model_config

    wanted = parse(config)
    there = Path(wanted.init_from).expanduser().exists()
    expected = bool(wanted.expects) and not there  # the model that it starts from is yet to come
    model = model_of(wanted.expects, "config.expects") if expected else model_config(wanted)
    sizes = wanted.mesh
    slices = topology.slices if args.search else sizes.slice
    devices = topologies.here(topology) if args.measure else topologies.devices(topology)
    mesh = make_mesh(sizes.data, sizes.fsdp, sizes.tensor, devices, slices)
    topologies.check_slices(topology, mesh.shape["slice"])
    shapes = jax.eval_shape(partial(lvlm.init, model), jax.random.key(0))
    plans = make_plan(wanted.stages, model, shapes, mesh)
    if args.search:
        return _search(plans, wanted, model, topology, mesh.size, shapes, args.json)
    if args.what != "train":
        return _serving(args, plans[-1], wanted, model, topology, mesh)
    whole: list[str] = []
    found = []
    if topology.platform != "gpu":
        names = ", ".join(plan.stage.name for plan in plans)
        print(f"compiling {names}; minutes each for a large model", file=sys.stderr, flush=True)
    # A compiler mostly keeps one core busy: stages are compiled beside each other.
    with ThreadPoolExecutor(min(len(plans), cores())) as pool:
        one = partial(forecast, run=wanted, model=model, topology=topology, mesh=mesh)
        for made in pool.map(partial(one, report=whole.append), plans):
            found.append(made)
            print(page(made, topology, dict(mesh.shape)), flush=True)
    if whole:
        print(f"kept whole on every chip, as no axis divides it: {len(set(whole))} arrays")
    measured: list[Measured] = []
    try:
        if args.measure:
            from fewvid.training.measured import measure

            for plan, planned in zip(plans, found, strict=True):
                measured.append(measure(plan, wanted, model, mesh))
                print(measured_page(measured[-1], planned, topology), flush=True)
    finally:  # a stage that does not fit takes nothing with it
        if args.json:
            sides, kept_whole = dict(mesh.shape), sorted(set(whole))
            said = _as_json(args.config, topology, sides, wanted, found, kept_whole)
            said["measured"] = [one.to_dict() for one in measured]
            args.json.expanduser().write_text(json.dumps(said, indent=1) + "\n")
    return 0


def _check_flags(args: argparse.Namespace) -> None:
    """Raises UserError for a flag that says nothing to what is planned."""
    for flag, value, whats in (
        ("--rows", args.rows, ("encode", "generate")),
        ("--tokens", args.tokens, ("generate",)),
        ("--search", args.search or None, ("train",)),
        ("--measure", args.measure or None, ("train",)),
    ):
        if value is not None and args.what not in whats:
            raise UserError(
                f"{flag} is for --what {' or '.join(whats)}, and this plans {args.what}; "
                f"take {flag} out, or name another --what"
            )
    if args.search and args.measure:
        raise UserError("--search runs nothing, so there is nothing to --measure; give one of both")


def _serving(
    args: argparse.Namespace, plan: Any, wanted: Any, model: Any, topology: Topology, mesh: Any
) -> int:
    """Plans encoding or answering, as the last stage shows its clips."""
    import jax
    import jax.numpy as jnp

    from fewvid.commands.plan_serving_page import page
    from fewvid.inference.ahead import Asked
    from fewvid.inference.forecast import forecast
    from fewvid.parallel.mesh import batch_rows

    shape, keep = plan.shape, plan.keeps[-1]
    text = max(shape.length - shape.frames * shape.visual_tokens_per_frame - shape.closing, 1)
    rows = args.rows or batch_rows(mesh)
    asked = Asked(rows, shape.frames, keep, text, args.tokens or ANSWER)
    if topology.platform != "gpu":
        print(f"compiling {args.what}; minutes for a large model", file=sys.stderr, flush=True)
    whole: list[str] = []
    dtype = jnp.dtype(wanted.compute_dtype)
    found = forecast(args.what, model, asked, topology, mesh, dtype, whole.append)
    print(page(found, topology, dict(mesh.shape)), flush=True)
    if whole:
        print(f"kept whole on every chip, as no axis divides it: {len(set(whole))} arrays")
    if args.json:
        said = {
            "config": args.config,
            "topology": topology.name,
            "chips": topology.chips,
            "mesh": dict(mesh.shape),
            "compute_dtype": wanted.compute_dtype,
            "jax": jax.__version__,
            "kept_whole": sorted(set(whole)),
        }
        args.json.expanduser().write_text(json.dumps(said | found.to_dict(), indent=1) + "\n")
    return 0


def _count(text: str) -> int:
    """The argparse type of --rows and --tokens."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, got {text!r}")
    return int(text)


def _search(
    plans: list[Any],
    wanted: Any,
    model: Any,
    topology: Topology,
    devices: int,
    shapes: Any,
    json_file: Path | None,
) -> int:
    import dataclasses

    from fewvid.commands.plan_page import found_page
    from fewvid.training import lora
    from fewvid.training import trainable as subtree
    from fewvid.training.search import search

    if topology.chip is None:
        raise UserError(
            f"--search needs the figures of a chip, and {topology.name} has none; name a slice "
            "such as v5e:16x16 or gpu:h200x8"
        )
    stages = []
    for plan in plans:
        counted = subtree.count(lora.grown(shapes, plan.stage.lora), plan.trainable)
        best = search(plan, wanted, model, topology, devices, counted)
        print(found_page(plan, best, topology))
        found = [dataclasses.asdict(one) | {"flags": one.flags(plan.index)} for one in best]
        stages.append({"stage": plan.stage.name, "settings": found})
    if json_file:
        said = {"topology": topology.name, "stages": stages}
        json_file.expanduser().write_text(json.dumps(said, indent=1) + "\n")
    return 0


def _as_json(
    config: str,
    topology: Topology,
    mesh: dict[str, int],
    wanted: Any,
    found: list[Forecast],
    whole: list[str],
) -> dict[str, Any]:
    import jax

    return {
        "config": config,
        "topology": topology.name,
        "chips": topology.chips,
        "mesh": mesh,
        "compute_dtype": wanted.compute_dtype,
        "remat": wanted.remat,
        "jax": jax.__version__,
        "kept_whole": whole,
        "stages": [one.to_dict() for one in found],
    }
