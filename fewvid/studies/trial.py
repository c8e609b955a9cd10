"""Many runs of one program trained at once: what differs between them is data, not code.

The runs of a program (seeds, amounts of data, kinds of questions) are stacked along a leading axis
and trained in one `vmap`, up to `CHUNK` steps a call in one `scan`. A small model leaves most of an
accelerator idle; twelve of them cost little more than one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fewvid.models import lvlm
from fewvid.models.attention import mask_of_every_head
from fewvid.models.config import LvlmConfig, visual_tokens
from fewvid.studies.bank import Bank, choose, lay_out
from fewvid.studies.compiling import Compiled
from fewvid.studies.corpus import Corpus, batch
from fewvid.training import trainable as subtree
from fewvid.training.optimizer import make_optimizer
from fewvid.training.stage import OptimizerConfig

CHUNK = 50
# XLA's, for runs that take less time than to compile them well would.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
Params = Any
Progress = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Program:
    """What a compiled step, or an exam, hangs on.

    keep: K, or several, one of which is drawn at each step. clips, pictures: rows of a batch
    (either may be 0). questions: S, of a row. trainable: regexes over parameter paths. quick:
    compile in half the time to a slower program.
    """

    model: LvlmConfig
    keep: tuple[int, ...]
    sampler: str
    bos: int | None
    visual: int
    clips: int = 0
    pictures: int = 0
    questions: int = 0
    steps: int = 0
    trainable: tuple[str, ...] = ()
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    dtype: str = "float32"
    quick: bool = False

    def __hash__(self) -> int:
        return hash(repr(self))

    def jit(self, function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        """`jax.jit`, of which this program decides how much work goes into compiling."""
        return jax.jit(function, compiler_options=QUICK if self.quick else None, **options)


class Runs(NamedTuple):
    """R runs; every field has a leading axis R.

    key: of all that is random; start, length, first and count int32: the clips that are trained on
    are `count` of the `length` from `start` on, beginning at the `first` and going on around the
    end; picture_weight float32: of an answer about a picture, an
    answer about a clip having 1; question_weight float32[R,n]: of each question of the bank about
    a clip.
    """

    key: jax.Array
    start: jax.Array
    length: jax.Array
    first: jax.Array
    count: jax.Array
    picture_weight: jax.Array
    question_weight: jax.Array


class Data(NamedTuple):
    """What all runs share."""

    clips: Corpus | None
    pictures: Corpus | None
    bank: Bank


def train(
    program: Program, params: Params, runs: Runs, data: Data, progress: Progress | None = None
) -> Params:
    """Parameters after `program.steps` steps; params and the result have a leading axis R.

    progress(step, {"loss", "accuracy"}) is called after each chunk, with means over the runs.
    """
    chosen = _trainable(program, params)
    moving, frozen = jax.vmap(partial(subtree.split, trainable=chosen))(params)
    # Steps are given these buffers for good: they must not be those of `params`, nor those of a
    # frozen leaf of which all rows train.
    moving = jax.tree.map(jnp.copy, moving)
    optimizer, advance = _compiled(program, tuple(chosen.items()))
    moments = jax.vmap(optimizer.init)(moving)
    chunk = _chunk(program)
    for start in range(0, program.steps, chunk):
        steps = jnp.arange(start, start + chunk)
        moving, moments, metrics = advance(moving, moments, frozen, runs, steps, data)
        if progress:
            progress(start + chunk, {name: float(x.mean()) for name, x in metrics.items()})
    return jax.vmap(partial(subtree.merge, trainable=chosen))(moving, frozen)


def prepare(program: Program, params: Params, runs: Runs, data: Data) -> None:
    """Compiles what `train` will run with such arguments: their shapes are enough."""
    chosen = _trainable(program, params)
    moving, frozen = jax.eval_shape(jax.vmap(partial(subtree.split, trainable=chosen)), params)
    optimizer, advance = _compiled(program, tuple(chosen.items()))
    moments = jax.eval_shape(jax.vmap(optimizer.init), moving)
    steps = jax.ShapeDtypeStruct((_chunk(program),), jnp.int32)
    advance.make(moving, moments, frozen, runs, steps, data)


def _trainable(program: Program, params: Params) -> subtree.Trainable:
    """What trains of each run's parameters."""
    one = jax.eval_shape(lambda tree: jax.tree.map(lambda leaf: leaf[0], tree), params)
    return subtree.select(one, program.trainable)


def _chunk(program: Program) -> int:
    """Steps of a call: no rest is left, which would be a program of its own."""
    return max(size for size in range(1, CHUNK + 1) if program.steps % size == 0)


@cache
def _compiled(program: Program, chosen: tuple[tuple[str, Any], ...]) -> tuple[Any, Compiled]:
    """The optimizer and the compiled steps: groups of cells that are too many for one come here."""
    optimizer = make_optimizer(program.optimizer, program.steps)
    steps = partial(_advance, program, optimizer, dict(chosen))
    return optimizer, Compiled(program.jit(steps, donate_argnums=(0, 1)))


def _advance(
    program: Program, optimizer: Any, chosen: Any, moving, moments, frozen, runs, steps, data
):
    """Some steps of all runs."""

    def one(moving: Params, moments: Any, frozen: Params, run: Runs, step: jax.Array):
        key = jax.random.fold_in(run.key, step)

        def objective(moving: Params):
            whole = subtree.merge(moving, frozen, chosen)
            return loss(program, whole, run, key, step, data)

        (_, metrics), gradients = jax.value_and_grad(objective, has_aux=True)(moving)
        updates, moments = optimizer.update(gradients, moments, moving)
        return optax.apply_updates(moving, updates), moments, metrics

    each = jax.vmap(one, in_axes=(0, 0, 0, 0, None))

    def all_runs(carry: tuple[Params, Any], step: jax.Array):
        moving, moments = carry
        moving, moments, metrics = each(moving, moments, frozen, runs, step)
        return (moving, moments), metrics

    (moving, moments), metrics = jax.lax.scan(all_runs, (moving, moments), steps)
    return moving, moments, metrics


def loss(
    program: Program, params: Params, run: Runs, key: jax.Array, step: jax.Array, data: Data
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Mean cross-entropy over the answers of a batch of clips and pictures, and its metrics."""
    keys = jax.random.split(key, 6)
    terms = []
    if data.clips is not None and program.clips:
        drawn = jax.random.randint(keys[0], (program.clips,), 0, run.count)
        rows = run.start + (run.first + drawn) % run.length
        weight = run.question_weight
        terms.append((_part(program, params, data.clips, rows, weight, keys[1:3], step, data), 1.0))
    if data.pictures is not None and program.pictures:
        rows = jax.random.randint(keys[3], (program.pictures,), 0, len(data.pictures.asked))
        weight = jnp.ones_like(run.question_weight)
        part = _part(program, params, data.pictures, rows, weight, keys[4:], step, data)
        terms.append((part, run.picture_weight))
    weight = jnp.stack([w * metrics["tokens"] for (_, metrics), w in terms])
    weight = weight / jnp.maximum(weight.sum(), 1e-6)

    def mean(name: str) -> jax.Array:
        return (weight * jnp.stack([metrics[name] for (_, metrics), _ in terms])).sum()

    return mean("loss"), {"loss": mean("loss"), "accuracy": mean("accuracy")}


def _part(program: Program, params, corpus: Corpus, rows, weight, keys, step, data: Data):
    chosen = choose(keys[0], corpus.asked[rows], weight, program.questions)
    seen = batch(corpus, rows)
    frames = len(corpus.times)

    def at(keep: int):
        visual = visual_tokens(program.model, frames, keep)
        text = lay_out(data.bank, chosen, visual, program.bos, program.visual)
        with mask_of_every_head():
            return lvlm.loss(
                program.model,
                params,
                seen | text,
                keep=keep,
                sampler=program.sampler,
                rng=keys[1],
                dtype=jnp.dtype(program.dtype),
                visual_id=program.visual,
            )

    if len(program.keep) == 1:
        return at(program.keep[0])
    # One K for all rows and runs: a function of the step alone, so that `vmap` runs one branch.
    drawn = jax.random.randint(jax.random.key(step), (), 0, len(program.keep))
    return jax.lax.switch(drawn, [partial(at, keep) for keep in program.keep])
