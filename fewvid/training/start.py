"""What must be there before the first stage: the world, the manifests and the model it starts from.

Each is written beside its place and renamed, so that a kill leaves it whole or absent, and each
hangs on the config alone, so that making it again gives the same bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import jax

from fewvid.checkpoints import model_directory
from fewvid.data.manifest import read_manifest
from fewvid.data.mixtures import Source
from fewvid.data.tokenizer import train_tokenizer
from fewvid.errors import UserError
from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig
from fewvid.training.progress import Display
from fewvid.training.stage import RunConfig

WORLD = "shapes:"
FOLDERS = ("train", "validation", "test")


def world_path(run: RunConfig, workdir: Path) -> Path:
    """Where the miniature world of a run is."""
    return Path(run.world.path).expanduser() if run.world.path else workdir / "data"


def locate(source: Source, run: RunConfig, workdir: Path) -> Source:
    """A source with the real path of its manifest. Raises UserError for a folder of no world."""
    manifest = str(source.manifest)
    if not manifest.startswith(WORLD):
        return source
    inside = manifest.removeprefix(WORLD)
    if inside.split("/")[0] not in FOLDERS:
        raise UserError(
            f"source {manifest!r}: after 'shapes:' goes {', '.join(FOLDERS)} and a manifest, "
            "such as shapes:train/videos.json"
        )
    return dataclasses.replace(source, manifest=world_path(run, workdir) / inside)


def ensure_world(run: RunConfig, workdir: Path, display: Display) -> None:
    """Makes the miniature world if a source names it and it is not there yet."""
    if not any(str(s.manifest).startswith(WORLD) for stage in run.stages for s in stage.sources):
        return
    from fewvid.data.shapes import write_world

    world = run.world
    write_world(
        world_path(run, workdir),
        clips=world.clips,
        images=world.images,
        seed=world.seed,
        things=world.things,
        albums=world.albums,
        progress=lambda done, total: display.count("drawing the world", done, total),
    )


def check_manifests(run: RunConfig, workdir: Path, *, drawn: bool) -> None:
    """Raises UserError for a manifest that is not there, of any stage, before the first trains.

    drawn: whether the miniature world is there, so that its manifests can be looked for too.
    """
    for index, stage in enumerate(run.stages):
        for source in stage.sources:
            file = Path(locate(source, run, workdir).manifest)
            if not file.is_file() and (drawn or str(source.manifest) == str(file)):
                raise UserError(
                    f"config.stages[{index}] ({stage.name}): no manifest at {source.manifest}"
                )


def model_config(run: RunConfig) -> LvlmConfig:
    """The sizes of the model that a run trains."""
    if run.init_from:
        return model_directory.read_config(model_directory.resolve(run.init_from))
    return LvlmConfig.from_dict(run.model)


def ensure_model(run: RunConfig, workdir: Path) -> Path:
    """{workdir}/start, the model directory that the first stage starts from."""
    directory = workdir / "start"
    if directory.exists():
        return directory
    if run.init_from:
        config, params, tokenizer = model_directory.load(run.init_from)
        card = f"Where a run starts: a copy of {run.init_from}.\n"
    else:
        config = model_config(run)
        tokenizer = train_tokenizer(_texts(run, workdir), config.decoder.vocab_size)
        params = jax.jit(lambda key: lvlm.init(config, key))(jax.random.key(run.seed))
        card = f"Where a run starts: untrained, seed {run.seed}.\n"
    return model_directory.save(
        directory, config=config, params=params, tokenizer=tokenizer, card=card
    )


def _texts(run: RunConfig, workdir: Path) -> Iterator[str]:
    """All questions and answers of the run's sources.

    Of a miniature world all of it: a tokenizer knows the words of what a model will learn later.
    """
    manifests: list[Path] = []
    for stage in run.stages:
        for source in stage.sources:
            found = Path(locate(source, run, workdir).manifest)
            of_world = str(source.manifest).startswith(WORLD)
            manifests += sorted(found.parent.glob("*.json")) if of_world else [found]
    for manifest in dict.fromkeys(manifests):
        for sample in read_manifest(manifest):
            for turn in sample.turns:
                yield turn.question
                yield turn.answer
