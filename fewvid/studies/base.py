"""The image model that all cells of all studies start from: trained once, kept in a directory."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fewvid.checkpoints import model_directory
from fewvid.data.shapes.world import World
from fewvid.data.tokenizer import Chat, train_tokenizer
from fewvid.errors import UserError
from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig
from fewvid.models.patches import halve, halved
from fewvid.studies.bank import Register
from fewvid.studies.config import ScaleConfig
from fewvid.studies.corpus import drawn, with_pixels
from fewvid.studies.trial import Data, Program, Runs, train
from fewvid.training.sizes import model_of
from fewvid.training.stage import OptimizerConfig

SEED = 0
WARMUP = 200
WEIGHT_DECAY = 0.01
VOCABULARY_OF = 400  # clips and as many pictures, whose words the tokenizer learns
# Changes and times are about several frames; pictures must not touch them.
TRAINABLE = ("encoder/.*", "adapter/(?!change/|time/).*", "decoder/.*")

Say = Callable[[str], None]


class Base(NamedTuple):
    """An image model: sizes, parameters, how it writes, and a digest of the parameters."""

    config: LvlmConfig
    params: Any
    chat: Chat
    digest: str


def world() -> World:
    """Where all pictures and clips of the studies come from; each is drawn when it is needed."""
    return World(clips=10**6, images=10**6, seed=SEED)


def ensure(scale: ScaleConfig, directory: Path, say: Say) -> Base:
    """The image model of that scale in `directory`, trained if it is not there.

    Raises UserError where the directory, or `scale.start`, holds a model of other sizes.
    """
    config = model_of(scale.model, "config.scale.model")
    if scale.start and not scale.base_steps:
        directory = model_directory.resolve(scale.start)
    elif not directory.exists():
        directory.parent.mkdir(parents=True, exist_ok=True)
        # Processes that share the studies' work begin alike: one makes it, the others wait.
        with (directory.parent / f".{directory.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not directory.exists():
                _make(scale, config, directory, say)
    found, params, tokenizer = model_directory.load(directory)
    if found != config:
        raise UserError(
            f"{directory} holds a model of other sizes than config.scale.model; give another "
            "--base (or config.scale.start), or its sizes as config.scale.model"
        )
    digest = hashlib.sha256(
        b"".join(file.read_bytes() for file in sorted(directory.glob("*.safetensors")))
    )
    return Base(config, jax.tree.map(jnp.asarray, params), Chat(tokenizer), digest.hexdigest()[:16])


def _make(scale: ScaleConfig, config: LvlmConfig, directory: Path, say: Say) -> None:
    register = Register()
    for medium in ("video", "image"):  # a tokenizer knows the words of what comes later
        drawn(world(), "train", medium, VOCABULARY_OF, register)
    say(f"drawing {scale.base_pictures} pictures for the image model")
    pictures = drawn(world(), "train", "image", scale.base_pictures, register)
    if scale.start:
        params, tokenizer = _finer(scale.start, config)
    else:
        params = lvlm.init(config, jax.random.key(SEED))
        tokenizer = train_tokenizer(register.texts(), config.decoder.vocab_size)
    chat = Chat(tokenizer)
    bank = register.bank(chat)
    program = Program(
        model=config,
        keep=scale.base_keep,
        sampler=scale.base_sampler,
        clips=0,
        pictures=scale.base_batch,
        questions=scale.questions,
        steps=scale.base_steps,
        trainable=TRAINABLE,
        optimizer=OptimizerConfig(
            learning_rate=scale.base_rate,
            warmup=min(WARMUP, scale.base_steps // 5),
            weight_decay=WEIGHT_DECAY,
        ),
        bos=chat.bos,
        visual=chat.visual,
        dtype=scale.dtype,
        quick=scale.quick,
    )
    one = jnp.ones(1)
    runs = Runs(
        key=jax.random.key(SEED + 1)[None],
        start=one.astype(jnp.int32),
        length=one.astype(jnp.int32),
        first=one.astype(jnp.int32),
        count=one.astype(jnp.int32),
        picture_weight=one,
        question_weight=jnp.ones((1, len(register.questions))),
    )
    trained = train(
        program,
        jax.tree.map(lambda leaf: leaf[None], params),
        runs,
        Data(None, with_pixels(pictures), bank),
        lambda step, seen: say(
            f"image model, step {step} of {scale.base_steps}: loss {seen['loss']:.3f}, "
            f"accuracy {seen['accuracy']:.3f}"
        ),
    )
    model_directory.save(
        directory,
        config=config,
        params=jax.tree.map(lambda leaf: jax.device_get(leaf[0]), trained),
        tokenizer=tokenizer,
        card=_card(scale),
    )


def _card(scale: ScaleConfig) -> str:
    """What the image model was made from, and how."""
    how = {name: value for name, value in asdict(scale).items() if name.startswith("base_")}
    lines = [f"| `{name}` | {value} |" for name, value in how.items()]
    start = f"the model `{scale.start}`" if scale.start else "random parameters"
    return "\n".join(
        [
            "# The image model of the studies",
            "",
            f"Trained on pictures of the world `shapes` alone, from {start}; made by the first",
            "study that found no such model (`python -m fewvid study`), with",
            "",
            "| `config.scale` | |",
            "|---|---|",
            *lines,
            f"| `questions` of a picture | {scale.questions} |",
            f"| `dtype` | {scale.dtype} |",
            "",
        ]
    )


def _finer(start: str, config: LvlmConfig) -> tuple[Any, Any]:
    """Parameters and tokenizer of a model of these sizes, or of patches twice as large."""
    found, params, tokenizer = model_directory.load(model_directory.resolve(start))
    if found == config:
        return jax.tree.map(jnp.asarray, params), tokenizer
    if found.encoder.patch_size % 2 == 0 and halved(found) == config:
        return halve(found, params), tokenizer
    raise UserError(
        f"config.scale.start is {start}, which has neither the sizes of config.scale.model nor "
        "those with patches twice as large"
    )
