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
and writes; the others are told (`parallel.hosts`).
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from fewvid.checkpoints import model_directory
from fewvid.errors import UserError
from fewvid.models import lvlm
from fewvid.parallel import hosts
from fewvid.parallel.mesh import make_mesh
from fewvid.training.plan import StagePlan, describe, make_plan
from fewvid.training.progress import Display, OnStep, Silent, display
from fewvid.training.room import check_room
from fewvid.training.stage import RunConfig, parse
from fewvid.training.start import check_sources, ensure_model, ensure_world, model_config
from fewvid.training.train_stage import about, train_stage
from fewvid.training.workdir import alone_in, check_same, claim, sweep


def run(
    config: Any,
    workdir: Path | str,
    *,
    on_step: OnStep | None = None,
    shown: Display | None = None,
) -> Path:
    """Runs the stages of a config (ConfigDict or dicts) and returns {workdir}/model.

    The same call again resumes; the result is the same bit for bit (on the same machine and
    mesh). on_step takes each step's report. shown takes all that there is to see (plan, world,
    encoding, steps); by default it is standard output, and nothing where there is an on_step.
    Raises UserError for a config that cannot work or differs from that of `workdir` (one that
    fails before its first checkpoint leaves `workdir` free for another); `loop.Stopped` on
    SIGTERM, after a checkpoint.
    """
    wanted, workdir = parse(config), Path(workdir).expanduser()
    sizes = wanted.mesh
    mesh = make_mesh(sizes.data, sizes.fsdp, sizes.tensor, slices=sizes.slice)
    silent = on_step or not hosts.leads()
    shown = shown or (Silent() if silent else display())
    with alone_in(workdir) if hosts.leads() else nullcontext():
        try:
            for change in hosts.from_leader(lambda: check_same(workdir, wanted)):
                shown.say(f"changed since this run was last started: {change}")
            return _run(wanted, workdir, mesh, shown, on_step)
        finally:
            shown.close()


def _run(run: RunConfig, workdir: Path, mesh: Mesh, shown: Display, on_step: OnStep | None) -> Path:
    start = workdir / "start"
    finished, begun = hosts.from_leader(lambda: [(workdir / "model").exists(), start.exists()])
    if finished:
        shown.say(f"this run is finished: {workdir / 'model'}")
        return workdir / "model"
    if hosts.leads() and (half := sweep(workdir)):
        shown.say(f"half-written by a run that was killed, and removed: {', '.join(half)}")
    # A run that has begun needs the model of init_from no more.
    model = model_directory.read_config(start) if begun else model_config(run)
    shapes = jax.eval_shape(partial(lvlm.init, model), jax.random.key(0))
    plans = make_plan(run.stages, model, shapes, mesh)
    for plan in plans:
        shown.say(describe(plan, len(plans), shapes))
    with claim(workdir, run) if hosts.leads() else nullcontext() as claimed:

        def prepare() -> None:
            assert claimed is not None, "the first process has claimed"
            check_room(workdir, shapes, plans)
            if not claimed.before:
                check_sources(run, workdir, of_world=False)
            ensure_world(run, workdir, shown)
            if not claimed.before:
                check_sources(run, workdir, of_world=True)
            claimed.write()
            ensure_model(run, workdir)

        hosts.from_leader(prepare)
        return _train(run, plans, workdir, mesh, shown, on_step)


def _train(
    run: RunConfig,
    plans: Sequence[StagePlan],
    workdir: Path,
    mesh: Mesh,
    shown: Display,
    on_step: OnStep | None,
) -> Path:
    latest = workdir / "start"
    for plan in plans:
        done = workdir / "stages" / plan.folder
        if hosts.from_leader(done.exists):
            shown.say(f"stage {plan.stage.name} is finished already")
        else:
            try:
                train_stage(plan, run, workdir, latest, done, mesh, shown, on_step)
            except UserError as error:
                where = f"config.stages[{plan.index}] ({plan.stage.name})"
                said = str(error).split("\n---")[0]  # Grain adds a note on its traceback
                raise UserError(f"{where}: {said}") from error
        if hosts.leads():  # a kill may have come between the stage's model and this
            shutil.rmtree(workdir / "checkpoints" / plan.folder, ignore_errors=True)
        latest = done
    last = workdir / "model"
    said = about(last, run, plans[-1])

    def copy() -> None:  # what the others are told of it is that it is done
        model_directory.copy(latest, last, of_lora="keep", **said)

    hosts.from_leader(copy)
    return last
