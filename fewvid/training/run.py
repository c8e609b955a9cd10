"""A run: its stages in order, in one working directory, from wherever an earlier try stopped.

    {workdir}/config.json                the config, and the identity of the run
    {workdir}/data                       the miniature world, where a source names it
    {workdir}/start                      the model that the first stage starts from
    {workdir}/checkpoints/0-align/100    the stage in progress (see `checkpoints`)
    {workdir}/stages/0-align             finished stages, each a model directory
    {workdir}/model                      the last stage's model: the result
    {workdir}/metrics.jsonl, tensorboard the numbers

Everything is written beside its place and renamed, and follows from the config alone. Where a
run goes on is therefore seen from what exists: the first stage without a model is in progress,
and it goes on from its newest checkpoint, or from the model before it where there is none.

Several processes share one working directory, which all must see. The first decides what exists
and writes; the others are told (`parallel.hosts`). A working directory in a bucket holds the same,
but for the world, which each process draws for itself (see `place`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from fewvid import buckets
from fewvid.checkpoints import model_directory
from fewvid.errors import UserError
from fewvid.models import lvlm
from fewvid.parallel import hosts
from fewvid.parallel.mesh import make_mesh
from fewvid.training.place import Place
from fewvid.training.plan import StagePlan, describe, make_plan
from fewvid.training.progress import Display, OnStep, Silent, display
from fewvid.training.room import check_room, check_scratch
from fewvid.training.stage import RunConfig, parse
from fewvid.training.start import check_sources, ensure_model, ensure_world, model_config
from fewvid.training.train_stage import about, train_stage
from fewvid.training.workdir import check_same, claim, sweep


def run(
    config: Any,
    workdir: Path | str,
    *,
    on_step: OnStep | None = None,
    shown: Display | None = None,
) -> buckets.Folder:
    """Runs the stages of a config (ConfigDict or dicts) and returns {workdir}/model.

    workdir: a folder, or gs://bucket/folder.

    The same call again resumes; the result is the same bit for bit (on the same machine and
    mesh). on_step takes each step's report. shown takes all that there is to see (plan, world,
    encoding, steps); by default it is standard output, and nothing where there is an on_step.
    Raises UserError for a config that cannot work or differs from that of `workdir` (one that
    fails before its first checkpoint leaves `workdir` free for another); `loop.Stopped` on
    SIGTERM, after a checkpoint.
    """
    wanted, place = parse(config), Place.of(workdir, jax.process_index())
    sizes = wanted.mesh
    mesh = make_mesh(sizes.data, sizes.fsdp, sizes.tensor, slices=sizes.slice)
    silent = on_step or not hosts.leads()
    shown = shown or (Silent() if silent else display())
    with place.held(hosts.leads()):
        try:
            hosts.from_leader(place.take)
            for change in hosts.from_leader(lambda: check_same(place.root, wanted)):
                shown.say(f"changed since this run was last started: {change}")
            return _run(wanted, place, mesh, shown, on_step)
        finally:
            shown.close()


def _run(
    run: RunConfig, place: Place, mesh: Mesh, shown: Display, on_step: OnStep | None
) -> buckets.Folder:
    finished, begun = hosts.from_leader(lambda: [place.has("model"), place.has("start")])
    if finished:
        shown.say(f"this run is finished: {place.root / 'model'}")
        return place.root / "model"
    if hosts.leads() and (half := sweep(place.root)):
        shown.say(f"half-written by a run that was killed, and removed: {', '.join(half)}")
    # A run that has begun needs the model of init_from no more.
    model = model_directory.read_config(place.root / "start") if begun else model_config(run)
    shapes = jax.eval_shape(partial(lvlm.init, model), jax.random.key(0))
    plans = make_plan(run.stages, model, shapes, mesh)
    for plan in plans:
        shown.say(describe(plan, len(plans), shapes))
    with claim(place.root, run) if hosts.leads() else nullcontext() as claimed:

        def prepare() -> None:
            assert claimed is not None, "the first process has claimed"
            if place.in_bucket:
                check_scratch(place.here, shapes)
            else:
                check_room(place.here, shapes, plans)
            if not claimed.before:
                check_sources(run, place.here, of_world=False)
            ensure_world(run, place.here, shown)
            if not claimed.before:
                check_sources(run, place.here, of_world=True)
            claimed.write()
            if not begun:
                ensure_model(run, place.here)
                place.keep("start")

        hosts.from_leader(prepare)
        if place.in_bucket and not hosts.leads():
            ensure_world(run, place.here, shown)
        return _train(run, plans, place, mesh, shown, on_step)


def _train(
    run: RunConfig,
    plans: Sequence[StagePlan],
    place: Place,
    mesh: Mesh,
    shown: Display,
    on_step: OnStep | None,
) -> buckets.Folder:
    latest = "start"
    for plan in plans:
        done = f"stages/{plan.folder}"
        if hosts.from_leader(partial(place.has, done)):
            shown.say(f"stage {plan.stage.name} is finished already")
        else:
            try:
                train_stage(plan, run, place, latest, done, mesh, shown, on_step)
            except UserError as error:
                where = f"config.stages[{plan.index}] ({plan.stage.name})"
                said = str(error).split("\n---")[0]  # Grain adds a note on its traceback
                raise UserError(f"{where}: {said}") from error
        if hosts.leads():  # a kill may have come between the stage's model and this
            buckets.remove(place.root / "checkpoints" / plan.folder)
        place.forget(latest)
        latest = done
    said = about("model", run, plans[-1])

    def copy() -> None:  # what the others are told of it is that it is done
        model_directory.copy(place.bring(latest), place.here / "model", of_lora="keep", **said)
        place.keep("model")

    hosts.from_leader(copy)
    return place.root / "model"
