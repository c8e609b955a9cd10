"""What must be there before the first stage: the world, the manifests and the model it starts from.

Each is written beside its place and renamed, so that a kill leaves it whole or absent, and each
hangs on the config alone, so that making it again gives the same bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import jax

from fewvid import buckets
from fewvid.checkpoints import model_directory
from fewvid.data.manifest import read_manifest
from fewvid.data.mixtures import Source, read_source
from fewvid.data.tokenizer import train_tokenizer
from fewvid.errors import UserError
from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig
from fewvid.parallel.paths import flatten
from fewvid.training.limits import TO_BE_GIVEN, WORLD, is_of_world
from fewvid.training.progress import Display
from fewvid.training.recipe_sizes import SIZES
from fewvid.training.sizes import check_sizes, model_of
from fewvid.training.stage import RunConfig


def world_path(run: RunConfig, workdir: Path) -> Path:
    """Where the miniature world of a run is."""
    return Path(run.world.path).expanduser() if run.world.path else workdir / "data"


def locate(source: Source, run: RunConfig, workdir: Path) -> Source:
    """A source with the real path of its manifest."""
    if not is_of_world(source):
        return source
    inside = str(source.manifest).removeprefix(WORLD)
    return dataclasses.replace(source, manifest=world_path(run, workdir) / inside)


def ensure_world(run: RunConfig, workdir: Path, display: Display) -> None:
    """Makes the miniature world if a source names it and it is not there yet."""
    if not any(is_of_world(source) for stage in run.stages for source in stage.sources):
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


def check_sources(run: RunConfig, workdir: Path, *, of_world: bool) -> None:
    """Reads what the stages train on: all of the miniature world (`of_world`), or all other.

    Raises UserError for a manifest that is not there or cannot be read, or a source of which
    nothing is left, of any stage, before the first trains.
    """
    seen: set[Source] = set()  # stages often share theirs
    for index, stage in enumerate(run.stages):
        for number, source in enumerate(stage.sources):
            where, found = f"config.stages[{index}] ({stage.name})", locate(source, run, workdir)
            if is_of_world(source) != of_world or found in seen:
                continue
            seen.add(found)
            if str(source.manifest).startswith(TO_BE_GIVEN):
                raise UserError(
                    f"{where}: it trains on {source.manifest}: set "
                    f"'--config.stages[{index}].sources[{number}].manifest=FILE' to a LLaVA JSON "
                    "manifest"
                )
            if not Path(found.manifest).is_file():
                raise UserError(f"{where}: no manifest at {source.manifest}")
            try:
                read_source(found)
            except UserError as error:
                raise UserError(f"{where}, sources[{number}]: {error}") from None


def model_config(run: RunConfig) -> LvlmConfig:
    """The sizes of the model that a run trains. Raises UserError for a model that is not there."""
    if not run.init_from:
        return model_of(run.model, "config.model")
    if buckets.is_address(run.init_from):
        directory = buckets.at(run.init_from, "config.init_from")
        return _checked(model_directory.read_config(directory), run, directory)
    directory = Path(run.init_from).expanduser()
    if run.init_from not in model_directory.packaged_models() and not directory.exists():
        raise UserError(f"config.init_from: no model at {directory}{_made_by(run, directory)}")
    directory = model_directory.resolve(run.init_from)
    return _checked(model_directory.read_config(directory), run, directory)


def _checked(config: LvlmConfig, run: RunConfig, directory: buckets.Folder) -> LvlmConfig:
    check_sizes(config, str(directory / "config.json"))
    if run.expects:
        _check_expected(config, model_of(run.expects, "config.expects"), directory)
    return config


def _check_expected(found: LvlmConfig, expected: LvlmConfig, directory: buckets.Folder) -> None:
    """Raises UserError where a model has other parameters than the run was made for."""
    theirs, ours = (
        {path: leaf.shape for path, leaf in flatten(_shapes(config)).items()}
        for config in (found, expected)
    )
    for path in sorted(theirs.keys() | ours.keys()):
        if theirs.get(path) != ours.get(path):
            raise UserError(
                f"config.init_from: the model at {directory} has {path} of {theirs.get(path)}, "
                f"and config.expects makes it {ours.get(path)}; take another model, or set "
                "config.expects to its sizes"
            )


def _shapes(config: LvlmConfig) -> dict:
    return jax.eval_shape(lambda: lvlm.init(config, jax.random.key(0)))


def _made_by(run: RunConfig, directory: Path) -> str:
    """Which run would make a model that is not there, as far as its path and the sizes tell."""
    other = "set --config.init_from=DIR, or to the name of a packaged model, such as shapes"
    name = next((n for n, s in SIZES.items() if s.model.to_dict() == run.expects), "shapes")
    if (parts := SIZES[name].parts) and str(directory) == parts.folder:
        return f"; first run {parts.command}, or {other}"
    if directory.name != "model":
        return f"; {other}"
    workdir = directory.parent
    config = Path("configs") / f"{workdir.name}.py"
    first = f"the run whose --workdir is {workdir}"
    if config.is_file():
        first = f"python -m fewvid train --config {config}:{name} --workdir {workdir}"
    return f"; first run {first}, or {other}"


def ensure_model(run: RunConfig, workdir: Path) -> Path:
    """{workdir}/start, the model directory that the first stage starts from."""
    directory = workdir / "start"
    if directory.exists():
        return directory
    if run.init_from:
        return _copied(run.init_from, directory)
    config = model_config(run)
    tokenizer = train_tokenizer(_texts(run, workdir), config.decoder.vocab_size)
    params = jax.jit(lambda key: lvlm.init(config, key))(jax.random.key(run.seed))
    card = f"Where a run starts: untrained, seed {run.seed}.\n"
    return model_directory.save(
        directory, config=config, params=params, tokenizer=tokenizer, card=card
    )


def _copied(init_from: str, directory: Path) -> Path:
    """A model directory like that of `init_from`, array by array, in the types of its files."""
    card = f"Where a run starts: a copy of {init_from}.\n"
    return model_directory.copy(init_from, directory, card=card, of_lora="merge")


def _texts(run: RunConfig, workdir: Path) -> Iterator[str]:
    """All questions and answers of the run's sources.

    Of a miniature world all of it: a tokenizer knows the words of what a model will learn later.
    """
    manifests: list[Path] = []
    for stage in run.stages:
        for source in stage.sources:
            found = Path(locate(source, run, workdir).manifest)
            manifests += sorted(found.parent.glob("*.json")) if is_of_world(source) else [found]
    for manifest in dict.fromkeys(manifests):
        for sample in read_manifest(manifest):
            for turn in sample.turns:
                yield turn.question
                yield turn.answer
