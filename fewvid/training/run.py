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
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from fewvid.checkpoints import model_directory
from fewvid.data.features import FeatureStore
from fewvid.data.loader import train_iterator
from fewvid.data.mixtures import read_source
from fewvid.data.tokenizer import Chat
from fewvid.errors import UserError
from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig
from fewvid.parallel.mesh import batch_sharding, make_mesh
from fewvid.parallel.sharding import place, shardings
from fewvid.training import trainable as subtree
from fewvid.training.checkpoints import StageCheckpoints, jsonable
from fewvid.training.loop import train
from fewvid.training.metrics import MetricsLog
from fewvid.training.optimizer import make_optimizer, schedule
from fewvid.training.plan import StagePlan, describe, make_plan
from fewvid.training.progress import Display, OnStep, Silent, StepReport, display
from fewvid.training.stage import RunConfig, differences, parse
from fewvid.training.start import check_manifests, ensure_model, ensure_world, locate, model_config
from fewvid.training.step import make_program


def run(config: Any, workdir: Path | str, *, on_step: OnStep | None = None) -> Path:
    """Runs the stages of a config (ConfigDict or dicts) and returns {workdir}/model.

    The same call again resumes; the result is the same bit for bit (on the same machine and
    mesh). on_step takes each step's report; without it, progress goes to standard output.
    Raises UserError for a config that cannot work or differs from that of `workdir`;
    `loop.Stopped` on SIGTERM, after a checkpoint.
    """
    wanted, workdir = parse(config), Path(workdir).expanduser()
    mesh = make_mesh(wanted.mesh.data, wanted.mesh.fsdp, wanted.mesh.tensor)
    shown = Silent() if on_step else display()
    with _alone_in(workdir):
        try:
            _claim(workdir, wanted)
            return _run(wanted, workdir, mesh, shown, on_step or shown.step)
        finally:
            shown.close()


def _run(run: RunConfig, workdir: Path, mesh: Mesh, shown: Display, on_step: OnStep) -> Path:
    if (workdir / "model").exists():
        shown.say(f"this run is finished: {workdir / 'model'}")
        return workdir / "model"
    _sweep(workdir)
    model = model_config(run)
    shapes = jax.eval_shape(partial(lvlm.init, model), jax.random.key(0))
    plans = make_plan(run.stages, model, shapes, mesh)
    for plan in plans:
        shown.say(describe(plan, len(plans), shapes))
    ensure_world(run, workdir, shown)
    check_manifests(run, workdir)
    latest = ensure_model(run, workdir)
    for plan in plans:
        done = workdir / "stages" / plan.folder
        if done.exists():
            shown.say(f"stage {plan.stage.name} is finished already")
        else:
            _train_stage(plan, run, workdir, latest, done, mesh, shown, on_step)
        # A kill may have come between the stage's model and this.
        shutil.rmtree(workdir / "checkpoints" / plan.folder, ignore_errors=True)
        latest = done
    config, params, tokenizer = model_directory.load(latest)
    return _save_model(workdir / "model", config, params, tokenizer, run, plans[-1])


def _train_stage(
    plan: StagePlan,
    run: RunConfig,
    workdir: Path,
    start: Path,
    done: Path,
    mesh: Mesh,
    shown: Display,
    on_step: OnStep,
) -> None:
    """Trains one stage from the model at `start` (or its newest checkpoint) and stores `done`."""
    stage = plan.stage
    before = sum(earlier.steps for earlier in run.stages[: plan.index])
    model, params, tokenizer = model_directory.load(start)
    layout = shardings(mesh, params, report=shown.say)
    params = place(params, layout)
    program = make_program(
        partial(_loss, model, stage.keep, stage.sampler),
        make_optimizer(stage.optimizer, stage.steps),
        params,
        layout,
        plan.trainable,
        mesh,
        rate=schedule(stage.optimizer, stage.steps),
    )
    sources = [locate(source, run, workdir) for source in stage.sources]
    features = None
    if stage.cache_features:
        features = _encode_all(plan, sources, model, params, mesh, shown)
    trained, frozen = subtree.split(params, plan.trainable)
    frozen = place(frozen, program.frozen_layout)
    key = jax.random.fold_in(jax.random.key(run.seed), plan.index + 1)  # 0 is the model's own
    host = (jax.process_index(), jax.process_count())
    iterator = train_iterator(
        sources,
        plan.shape,
        Chat(tokenizer),
        seed=int(np.random.SeedSequence([run.seed, plan.index]).generate_state(1)[0] >> 1),
        host=host,
        features=features,
    )
    checkpoints = StageCheckpoints(workdir / "checkpoints" / plan.folder)
    try:
        config = jsonable(run.to_dict())
        if checkpoints.latest() is None:
            state = program.start(trained, key)
        else:
            state = checkpoints.restore(program.abstract, iterator, config)
            shown.say(f"stage {stage.name} goes on from step {int(state.step)}")
        del trained, params
        log = MetricsLog(workdir, before + int(state.step))

        def on_metrics(step: int, metrics: dict[str, float]) -> None:
            where = {"stage": stage.name, "stage_index": plan.index, "step": step}
            log.write({**where, "total_step": before + step, **metrics})
            report = StepReport(stage.name, plan.index, len(run.stages), step, stage.steps, metrics)
            on_step(report)

        try:
            state = train(
                program,
                state,
                frozen,
                iterator,
                steps=stage.steps,
                mesh=mesh,
                checkpoints=checkpoints,
                checkpoint_every=stage.checkpoint_every,
                config=config,
                on_metrics=on_metrics,
            )
        finally:
            log.close()
    finally:
        checkpoints.close()
        iterator.close()
    whole = subtree.merge(state.trainable, frozen, plan.trainable)
    _save_model(done, model, whole, tokenizer, run, plan)


def _loss(
    model: LvlmConfig, keep: int | None, sampler: str | None, params: Any, batch: Any, rng: Any
) -> tuple[jax.Array, dict[str, jax.Array]]:
    return lvlm.loss(model, params, batch, keep=keep, sampler=sampler, rng=rng)


def _encode_all(
    plan: StagePlan, sources: Any, model: LvlmConfig, params: Any, mesh: Mesh, shown: Display
) -> FeatureStore:
    rows = batch_sharding(mesh)
    encoder = {"encoder": params["encoder"]}
    encode = jax.jit(partial(lvlm.encode, model), out_shardings=rows)

    def encode_pixels(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = encode(encoder, jax.device_put(pixels, rows))
        return np.asarray(found.tokens), np.asarray(found.response)

    groups = [group for source in sources for group in read_source(source)]
    return FeatureStore.build(
        groups,
        plan.shape,
        encode_pixels,
        lambda done, total: shown.count("encoding each file once", done, total),
    )


def _save_model(
    directory: Path, model: LvlmConfig, params: Any, tokenizer: Any, run: RunConfig, plan: StagePlan
) -> Path:
    stages = ", ".join(stage.name for stage in run.stages[: plan.index + 1])
    origin = run.init_from or f"random initial parameters (seed {run.seed})"
    return model_directory.save(
        directory,
        config=model,
        params=params,
        tokenizer=tokenizer,
        card=f"# {directory.name}\n\nTrained by fewvid from {origin}; stages: {stages}.\n",
        frames=plan.stage.frames,
    )


def _claim(workdir: Path, run: RunConfig) -> None:
    """Writes the config of a new run; refuses one that differs from the config that is there."""
    file, new = workdir / "config.json", jsonable(run.to_dict())
    if not file.exists():
        beside = workdir / ".config.json.tmp"
        beside.write_text(json.dumps(new, indent=2) + "\n", encoding="utf-8")
        os.replace(beside, file)
        return
    if changed := differences(json.loads(file.read_text(encoding="utf-8")), new):
        raise UserError(
            f"{workdir} is of a run with another config ({'; '.join(changed)}); "
            "give the same config to resume it, or another --workdir"
        )


def _sweep(workdir: Path) -> None:
    """Removes what a kill left half-written: such names are never read."""
    for pattern in (".start.*", ".model.*", "stages/.*", "checkpoints/*/*.orbax-checkpoint-tmp*"):
        for left in workdir.glob(pattern):
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _alone_in(workdir: Path) -> Iterator[None]:
    """Holds the working directory; the lock goes with the process, however it ends."""
    workdir.mkdir(parents=True, exist_ok=True)
    with (workdir / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another process is running in {workdir}; wait or stop it") from None
        yield
