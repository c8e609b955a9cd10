"""One stage: from the model before it, or its newest checkpoint, to the model that it makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from fewvid.checkpoints import from_mesh, model_directory, onto_mesh, tensors
from fewvid.checkpoints import lora as lora_files
from fewvid.data import resident
from fewvid.data.chat_template import chat_for
from fewvid.data.features import FeatureStore
from fewvid.data.loader import train_iterator
from fewvid.data.media import BadSamples
from fewvid.data.mixtures import Source, read_source
from fewvid.errors import UserError
from fewvid.models import low_rank, lvlm
from fewvid.models.attention import backend, placed
from fewvid.models.config import LvlmConfig
from fewvid.parallel import hosts
from fewvid.parallel.mesh import (
    HEADS,
    ROWS,
    batch_rows,
    batch_sharding,
    copied,
    replicated,
    rows_here,
)
from fewvid.parallel.paths import flatten
from fewvid.parallel.sharding import place, shardings
from fewvid.training import keeps, lora
from fewvid.training import trainable as subtree
from fewvid.training.changes import jsonable
from fewvid.training.checkpoints import StageCheckpoints
from fewvid.training.loop import train
from fewvid.training.metrics import BOARD, FILE, MetricsLog
from fewvid.training.place import Place
from fewvid.training.plan import StagePlan
from fewvid.training.progress import Display, OnStep, StepReport
from fewvid.training.stage import RunConfig
from fewvid.training.stage_programs import stage_programs
from fewvid.training.start import locate

ENCODED_AT_ONCE = 256  # frames
LORA = 2**31 - 1  # in a stage's key, that of A and B: no step has this number
FRAMES = 8  # that a model trained on pictures alone looks at when it is shown a video


def train_stage(
    plan: StagePlan,
    run: RunConfig,
    workdir: Place,
    begins: str,
    done: str,
    mesh: Mesh,
    shown: Display,
    on_step: OnStep | None,
) -> None:
    """Trains one stage from the model `begins` (or its newest checkpoint) and stores `done`.

    Both are names of the run's models: "start", "stages/0-align".
    """
    stage, start = plan.stage, workdir.bring(begins)
    before = sum(earlier.steps for earlier in run.stages[: plan.index])
    model, tokenizer = model_directory.read_config(start), model_directory.load_tokenizer(start)
    key = jax.random.fold_in(jax.random.key(run.seed), plan.index + 1)  # 0 is the model's own
    shapes = jax.eval_shape(lambda: lvlm.init(model, jax.random.key(0)))
    # What is stored in 16 bits and trains in none of its rows stays so: half the memory.
    untouched = flatten(shapes).keys() - plan.trainable.keys()
    params = onto_mesh.load(start, shardings(mesh, shapes, report=lambda _: None), untouched)
    layout = shardings(mesh, lora.grown(shapes, stage.lora), report=shown.say)
    params = lora.begun(params, layout, stage.lora, jax.random.fold_in(key, LORA))
    chat = chat_for(tokenizer)
    decoder, shape = model.decoder, plan.shape
    with placed(mesh, ROWS, HEADS):  # what is asked for and cannot be is refused before all work
        read = (shape.batch_size // stage.accumulate, shape.length, decoder.heads, decoder.head_dim)
        kernel = backend(read, run.compute_dtype)
    if kernel != "xla":
        shown.say(f"attention of the decoder: {kernel}")
    programs = stage_programs(plan, run, model, params, layout, chat.visual, mesh)
    program = programs[plan.keeps[-1]]  # all differ in their step alone
    sources = [locate(source, run, workdir.here) for source in stage.sources]
    bad = BadSamples(stage.max_bad_fraction)
    told = 0

    def tell() -> None:
        nonlocal told
        if len(bad.reasons) > told:
            told = len(bad.reasons)
            shown.say(f"{bad}; training goes on without them")

    features = None
    if stage.cache_features:
        features = _encode_all(plan, sources, model, params, mesh, shown, bad, run.compute_dtype)
        tell()
    trained, frozen = subtree.split(params, plan.trainable)
    frozen = place(frozen, program.frozen_layout)
    rows = rows_here(mesh, stage.batch_size)
    seed = int(np.random.SeedSequence([run.seed, plan.index]).generate_state(1)[0] >> 1)
    options = {"seed": seed, "features": features, "report": bad}
    if stage.resident:
        data = resident.build(
            sources,
            plan.shape,
            chat,
            progress=lambda done, total: shown.count("packing rows", done, total),
            **options,
        )
        tell()
        iterator = data.iterator(seed, rows)
        constant, numbers = {"table": copied(mesh, data.table)}, data.samples
        del data
    else:
        iterator = train_iterator(sources, plan.shape, chat, rows=rows, **options)
        constant, numbers = {}, None
    log: MetricsLog | None = None

    def before_save() -> None:
        """Keeps the numbers of all steps that a checkpoint will hold before it is there."""
        if workdir.in_bucket:
            hosts.from_leader(workdir.check_taken)
        if log:
            log.send()

    folder = workdir.root / "checkpoints" / plan.folder
    checkpoints = StageCheckpoints(folder, before_save=before_save)
    try:
        config = jsonable(run.to_dict())
        state = checkpoints.restore(program.abstract, iterator, config, shown.say)
        if state is None:
            state = program.start(trained, key)
        else:
            shown.say(f"stage {stage.name} goes on from step {int(state.step)}")
            if int(state.step) > stage.steps:
                raise UserError(f"steps is {stage.steps}, but {int(state.step)} are made already")
        del trained, params
        if hosts.leads():
            workdir.bring_file(FILE)
            send = partial(workdir.keep_files, FILE, f"{BOARD}/*") if workdir.in_bucket else None
            log = MetricsLog(workdir.here, before + int(state.step), send)

        def on_metrics(step: int, metrics: dict[str, float]) -> None:
            where = {"stage": stage.name, "stage_index": plan.index, "step": step}
            if log:
                log.write({**where, "total_step": before + step, **metrics})
            report = StepReport(stage.name, plan.index, len(run.stages), step, stage.steps, metrics)
            shown.step(report)
            if not told:  # files are read while it trains: the first is said at once
                tell()
            if on_step:
                on_step(report)

        try:
            state = train(
                lambda step: programs[keeps.drawn(plan.keeps, run.seed, plan.index, step)].step,
                state,
                frozen,
                iterator,
                steps=stage.steps,
                mesh=mesh,
                checkpoints=checkpoints,
                checkpoint_every=stage.checkpoint_every,
                config=config,
                batch_size=stage.batch_size,
                before=before,
                max_skipped=stage.max_skipped,
                names_of=partial(_names, sources, numbers),
                constant=constant,
                on_metrics=on_metrics,
            )
            if log:
                log.send()
        finally:
            if log:
                log.close()
    finally:
        checkpoints.close()
        iterator.close()
    tell()
    whole = subtree.merge(state.trainable, frozen, plan.trainable)
    save_model(workdir.here / done, model, whole, tokenizer, run, plan)
    if hosts.leads():
        workdir.keep(done)


def _names(
    sources: Sequence[Source], numbers: np.ndarray | None, batch: Mapping[str, Any]
) -> list[str]:
    """The ids of the samples of a batch's rows: each row's media, and the first that asks of it.

    numbers: of the groups of a resident table's rows.
    """
    groups = [group for source in sources for group in read_source(source)]
    which = batch["sample"] if numbers is None else numbers[batch["row"]]
    return [str(groups[int(number)][0].id) for number in which]


def _encode_all(
    plan: StagePlan,
    sources: Sequence[Source],
    model: LvlmConfig,
    params: Any,
    mesh: Mesh,
    shown: Display,
    bad: BadSamples,
    compute_dtype: str,
) -> FeatureStore:
    """The frozen encoder's outputs for every file of a stage; not saved, but made again."""
    rows, several = batch_sharding(mesh), jax.process_count() > 1
    encoder = {"encoder": params["encoder"]}
    encode = jax.jit(
        partial(lvlm.encode, model, dtype=jnp.dtype(compute_dtype)),
        out_shardings=replicated(mesh) if several else rows,  # every host needs all of it
    )

    def encode_pixels(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # Every host reads all files: each encodes its rows of them.
        on = jax.make_array_from_callback(pixels.shape, rows, lambda at: pixels[at])
        found = encode(encoder, on)
        return np.asarray(found.tokens), np.asarray(found.response)

    groups = [group for source in sources for group in read_source(source)]
    return FeatureStore.build(
        groups,
        plan.shape,
        encode_pixels,
        lambda done, total: shown.count("encoding each file once", done, total),
        batch_frames=-(-ENCODED_AT_ONCE // batch_rows(mesh)) * batch_rows(mesh),
        report=bad,
    )


def save_model(
    directory: Path, model: LvlmConfig, params: Any, tokenizer: Any, run: RunConfig, plan: StagePlan
) -> None:
    """Stores what a run has come to after the stage of `plan`, as a model directory.

    All processes come here, where there are several; the first writes.
    """
    said = {"config": model, "tokenizer": tokenizer} | about(directory.name, run, plan)
    if jax.process_count() == 1:
        alpha = plan.stage.lora.alpha
        model_directory.save(directory, params=params, alpha=alpha, **said)
        return
    pieces = from_mesh.tensors_of(params)
    if hosts.leads():
        write = partial(_write, pieces, plan.stage.lora.alpha)
        model_directory.compose(directory, weights_to=write, **said)
    else:  # in the order in which the first writes
        for each in low_rank.apart(pieces):
            tensors.pass_by(each)


def about(name: str, run: RunConfig, plan: StagePlan) -> dict[str, Any]:
    """{card, frames} of the model of a run after the stage of `plan`, for `model_directory`."""
    stages = ", ".join(stage.name for stage in run.stages[: plan.index + 1])
    origin = run.init_from or f"random initial parameters (seed {run.seed})"
    return {
        "card": f"# {name}\n\nTrained by fewvid from {origin}; stages: {stages}.\n",
        "frames": plan.stage.frames if plan.stage.frames > 1 else FRAMES,
    }


def _write(arrays: Mapping[str, tensors.Tensor], alpha: float, folder: Path) -> None:
    own, pairs = low_rank.apart(arrays)
    tensors.write(folder, own, shard_bytes=model_directory.SHARD_BYTES)
    if pairs:
        lora_files.write(folder, pairs, alpha)
