"""Whether what a sampler drops is lost: by how the adapter reads, and by what was dropped.

Adapters differ in what a kept token still learns of the others: the queries may read the whole
frame, or what is kept alone. Each is trained on pictures with one of several choices, among them
one that keeps nothing of what is asked about, which shows how much comes from elsewhere.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig
from fewvid.parallel.paths import flatten, unflatten
from fewvid.studies import trial
from fewvid.studies.bank import Bank
from fewvid.studies.base import Base
from fewvid.studies.config import ScaleConfig, StudyConfig
from fewvid.studies.corpus import Corpus
from fewvid.studies.coverage import shown
from fewvid.studies.exam import ask_all
from fewvid.studies.library import Library, Shelf
from fewvid.studies.plans import PICTURES, exam_of
from fewvid.studies.results import tally
from fewvid.studies.trial import Data, Program, Runs
from fewvid.training.stage import OptimizerConfig

ADAPTERS = ("tokens", "mlp", "learned")
KEPT = ("attention", "random", "off things")
STEPS, ROWS = 400, 32
TRAINED, ASKED = 3000, 500  # pictures
FRESH, CHANCE = 7, 5  # seeds of new parameters, and of random choices
TRAINABLE = ("adapter/(?!change/|time/).*", "decoder/.*")


def measure(study: StudyConfig, base: Base) -> dict[str, Any]:
    """{"keep": K, "steps", "scores": {adapter: {kept: {dimension: counts}}}} (see `Scores`).

    The encoder stays; adapter and decoder begin with the image model's weights where it has them.
    adapter: `tokens`, each kept token reads its whole frame; `learned`, K queries that read what is
    kept; `mlp`, no token reads another. kept: K tokens of the highest response of the image model,
    K by chance, or K by chance of those that show no part of a thing; the same for all adapters.
    """
    scale, names = study.scale, ADAPTERS[:2] if study.scale.quick else ADAPTERS
    keep = min(cell.keep for cell in study.cells)
    shelf = exam_of(study.cells[0], study.exam("pictures"))
    counts = {PICTURES: min(TRAINED, scale.pictures), shelf: min(ASKED, scale.test)}
    library = Library(base, "float32")
    for each, count in counts.items():
        library.need(each, count)
    bank = library.draw(lambda _: None)
    arms = {each: _arms(base, library, each, count, keep) for each, count in counts.items()}
    found = {}
    for name in names:
        program = _program(base, scale, name, keep)
        params = _train(program, base, bank, _joined(arms[PICTURES]), study.seeds)
        found[name] = {}
        for number, (kept, asked) in enumerate(arms[shelf].items()):
            mine = slice(number * study.seeds, (number + 1) * study.seeds)
            own = jax.tree.map(lambda leaf, mine=mine: leaf[mine], params)
            right = ask_all(program, own, asked, bank)
            found[name][kept] = tally(right, np.asarray(asked.asked), library.register.questions)
    return {"keep": keep, "steps": program.steps, "scores": found}


def _arms(base: Base, library: Library, shelf: Shelf, count: int, keep: int) -> dict[str, Corpus]:
    """By KEPT the same pictures, with a response of which the highest are what is to be kept."""
    corpus = library.corpus((shelf,), encoded=True)
    assert corpus.tokens is not None
    assert corpus.response is not None
    patch = base.config.encoder.patch_size
    things = np.stack([shown(shelf, index, patch, 0.0).any(axis=0) for index in range(count)])
    chance = np.random.default_rng(CHANCE).random(things.shape, np.float32)
    see = jax.jit(_response, static_argnames=("config", "keep"))
    of_model = see(base.params, corpus.tokens, corpus.response, config=base.config, keep=keep)
    responses = (of_model, chance + 1, chance + 1 - things)  # a picture has room off its things
    return {
        kept: corpus._replace(response=jnp.asarray(response))
        for kept, response in zip(KEPT, responses, strict=True)
    }


def _response(
    params: Any, tokens: jax.Array, response: jax.Array, *, config: LvlmConfig, keep: int
) -> jax.Array:
    """float32[n,1,N] of the image model's own adapter; a hundred pictures at a time."""

    def some(part: tuple[jax.Array, jax.Array]) -> jax.Array:
        times = jnp.zeros((1, 1))
        each = lvlm.Features(part[0][None], part[1][None])
        return lvlm.see(config, params, each, times, keep=keep).response[0]

    return jax.lax.map(some, (tokens, response), batch_size=100)


def _joined(arms: dict[str, Corpus]) -> Corpus:
    first = next(iter(arms.values()))
    parts = list(arms.values())
    assert first.tokens is not None
    return first._replace(
        tokens=jnp.concatenate([first.tokens] * len(parts)),
        response=jnp.concatenate([jnp.asarray(part.response) for part in parts]),
        asked=jnp.concatenate([first.asked] * len(parts)),
    )


def _program(base: Base, scale: ScaleConfig, queries: str, keep: int) -> Program:
    steps = min(STEPS, scale.steps)
    change: Any = {"queries": queries, "count": keep}
    return Program(
        model=dataclasses.replace(
            base.config,
            adapter=dataclasses.replace(base.config.adapter, **change),
            sampler=dataclasses.replace(base.config.sampler, name="attention", response="encoder"),
        ),
        keep=(keep,),
        sampler="attention",
        clips=ROWS,  # pictures too are clips here, of one frame: of those each run has its own
        questions=scale.questions,
        steps=steps,
        trainable=TRAINABLE,
        optimizer=OptimizerConfig(
            learning_rate=scale.rate,
            warmup=min(scale.warmup, steps // 5),
            weight_decay=scale.weight_decay,
            scale={"decoder": scale.decoder_rate},
        ),
        bos=base.chat.bos,
        visual=base.chat.visual,
        quick=scale.quick,
    )


def _train(program: Program, base: Base, bank: Bank, pictures: Corpus, seeds: int) -> Any:
    """Parameters with a leading axis of len(KEPT) * seeds: a seed draws alike for each choice."""
    runs, each = len(KEPT) * seeds, len(pictures.asked) // len(KEPT)
    ones = jnp.ones(runs, jnp.int32)
    seed = jnp.arange(runs) % seeds
    drawn = Runs(
        key=jax.vmap(jax.random.key)(seed),
        start=jnp.arange(runs, dtype=jnp.int32) // seeds * each,
        length=ones * each,
        first=ones * 0,
        count=ones * each,
        picture_weight=jnp.ones(runs),
        question_weight=jnp.ones((runs, len(bank.right))),
    )
    params = jax.tree.map(lambda leaf: jnp.stack([leaf] * runs), _start(program.model, base))
    return trial.train(program, params, drawn, Data(pictures, None, bank))


def _start(config: LvlmConfig, base: Base) -> Any:
    """The image model's weights where they fit, and new ones where it has none."""
    known = flatten(base.params)
    return unflatten(
        {
            path: known[path] if path in known and known[path].shape == leaf.shape else leaf
            for path, leaf in flatten(lvlm.init(config, jax.random.key(FRESH))).items()
        }
    )
