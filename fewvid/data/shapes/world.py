"""The world as files: mp4 clips, png pictures and LLaVA JSON, the same bytes for the same seed.

    OUT/world.json
    OUT/{train,validation,test}/videos.json, video_captions.json, videos/000000.mp4
                                images.json, image_captions.json, images/000000.png
                                albums.json, albums/000000.mp4 (where albums were asked for)

Every sample draws from a generator seeded by (seed, split, medium, index): splits share no scene,
and a larger world begins with the smaller one.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fewvid.cores import cores
from fewvid.data.shapes.limits import check_variant
from fewvid.data.shapes.questions import (
    STATIC,
    TEMPORAL,
    Question,
    ask,
    at_moment,
    captions,
    chances,
)
from fewvid.data.shapes.random_scene import clip_scene, image_scene
from fewvid.data.shapes.scene import Scene
from fewvid.data.shapes.variant import FPS, SIZE, Variant
from fewvid.errors import UserError, check_seed

SPLITS = ("train", "validation", "test")
MEDIA = ("video", "image", "album")  # a new one goes last: its place is part of the seed
CHUNK = 50  # samples that one worker makes at a time
DEFAULT = Variant()
FRAMES = DEFAULT.frames
Progress = Callable[[int, int], None]
Task = tuple[str, str, int, int]  # split, medium, first sample, one past the last
Records = dict[str, list[dict[str, Any]]]  # by manifest


@dataclass(frozen=True)
class World:
    """How much of the world: training clips and images; validation and test get a tenth each.

    things: the most shapes that a scene may have, 1 to 3. albums: slide shows, see `album_of`.
    Raises UserError for a number of things, or a variant, that cannot be.
    """

    clips: int
    images: int
    seed: int = 0
    things: int = 2
    albums: int = 0
    variant: Variant = DEFAULT

    def __post_init__(self) -> None:
        check_variant(self.variant, self.things)

    def identity(self) -> dict[str, Any]:
        """What tells this world from another, as world.json has it."""
        changes = self.variant.changes()
        numbers = {name: value for name, value in vars(self).items() if name != "variant"}
        return numbers | ({"variant": changes} if changes else {})

    def count(self, split: str, medium: str) -> int:
        """Samples of one medium in one split: a tenth, at least 16, of the training ones."""
        wanted = {"video": self.clips, "image": self.images, "album": self.albums}[medium]
        return wanted if split == "train" or not wanted else max(wanted // 10, 16)


def scene_of(world: World, split: str, medium: str, index: int) -> tuple[Scene, list[Question]]:
    """The scene at that place of the world and all that is asked of it."""
    rng, most = _generator(world, split, medium, index), world.things
    make_scene = image_scene if medium == "image" else clip_scene
    scene = make_scene(rng, most, world.variant)
    return scene, ask(scene, rng, most, world.variant)


def album_of(world: World, split: str, index: int) -> tuple[list[Scene], list[Question]]:
    """A slide show: unrelated pictures, the first and last asked about, or one picture throughout.

    Nothing moves in it: it is data about pictures, for a model that is to look at several.
    """
    rng = _generator(world, split, "album", index)
    most, variant = world.things, world.variant
    if index % 2:
        scene = image_scene(rng, most, variant)
        return [scene] * variant.frames, ask(scene, rng, most, variant)
    scenes = [image_scene(rng, most, variant) for _ in range(variant.frames)]
    return scenes, [
        at_moment(question, when)
        for when, scene in (("start", scenes[0]), ("end", scenes[-1]))
        for question in ask(scene, rng, most, variant)
    ]


def sample_of(
    world: World, split: str, medium: str, index: int
) -> tuple[list[Scene], list[Question]]:
    """What one sample shows, scene after scene, and all that is asked of it."""
    if medium == "album":
        return album_of(world, split, index)
    scene, questions = scene_of(world, split, medium, index)
    return [scene], questions


def _generator(world: World, split: str, medium: str, index: int) -> np.random.Generator:
    place = (world.seed, SPLITS.index(split), MEDIA.index(medium), index)
    return np.random.default_rng(place)


def write_world(
    out: Path,
    *,
    clips: int,
    images: int,
    seed: int = 0,
    things: int = 2,
    albums: int = 0,
    variant: Variant = DEFAULT,
    progress: Progress | None = None,
    workers: int | None = None,
) -> None:
    """Writes the world under `out`; `progress(done, total)` is called as samples are finished.

    The world is made beside `out`, in .NAME.making, and moved there whole, so that nothing is
    ever half made; the same world already there is left alone.
    Raises UserError where `out` holds anything else, or a number is negative.
    """
    check_seed(seed, "--seed")
    world = World(clips, images, seed, things, albums, variant)
    if min(clips, images, albums) < 0 or clips + images + albums == 0:
        raise UserError(f"a world needs clips or images: got --clips {clips} --images {images}")
    if (out / "world.json").exists():
        there = json.loads((out / "world.json").read_text())
        if there.get("world") == world.identity():
            return
        raise UserError(
            f"{out} holds another world ({there.get('world')}), wanted {world.identity()}; "
            "remove it, or give another --out (in a config: another world.path or --workdir)"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(
            f"{out} exists and is not a world of shapes; give another --out (in a config: another "
            "world.path or --workdir)"
        )
    beside = out.with_name(f".{out.name}.making")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        _fill(world, beside, progress, workers or min(cores(), 16))
        if out.exists():
            out.rmdir()
        os.replace(beside, out)
    except BaseException:  # Ctrl-C too; what a kill leaves is replaced by the next try
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _fill(world: World, out: Path, progress: Progress | None, workers: int) -> None:
    tasks: list[Task] = []
    for split in SPLITS:
        for medium in MEDIA:
            count = world.count(split, medium)
            if count:
                (out / split / f"{medium}s").mkdir(parents=True)
            tasks += [(split, medium, i, min(i + CHUNK, count)) for i in range(0, count, CHUNK)]
    made: dict[Task, Records] = {}
    done, total = 0, sum(stop - start for *_, start, stop in tasks)

    def finished(task: Task, records: Records) -> None:
        nonlocal done
        made[task] = records
        done += task[3] - task[2]
        if progress:
            progress(done, total)

    if total < 4 * CHUNK or workers == 1:  # not worth the start of other processes
        for task in tasks:
            finished(task, make(world, out, *task))
    else:
        spawn = multiprocessing.get_context("spawn")  # safe beside JAX's threads
        with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
            futures = {pool.submit(make, world, out, *task): task for task in tasks}
            for future in as_completed(futures):
                finished(futures[future], future.result())
    manifests: dict[Path, list[dict[str, Any]]] = {}
    for task in tasks:
        for name, records in made[task].items():
            manifests.setdefault(out / task[0] / name, []).extend(records)
    for split in SPLITS:
        for medium in MEDIA:
            if world.count(split, medium) and out / split / f"{medium}s.json" not in manifests:
                raise UserError(
                    f"no {medium} of {split} is asked about {', '.join(world.variant.dimensions)}: "
                    "name dimensions that fit it, or make more of them, or none"
                )
    for path, records in manifests.items():
        path.write_text(json.dumps(records, indent=0) + "\n")
    counts = {s: {m: world.count(s, m) for m in MEDIA} for s in SPLITS}
    chance = chances(world.things, world.variant)
    about = {"world": world.identity(), "samples": counts, "chance": chance}
    for kind, dimensions in (("static", STATIC), ("temporal", TEMPORAL)):
        about[kind] = [name for name in dimensions if name in chance]
    about |= {"frames": world.variant.frames, "fps": FPS, "size": SIZE}
    (out / "world.json").write_text(json.dumps(about, indent=1) + "\n")


def make(world: World, out: Path, split: str, medium: str, start: int, stop: int) -> Records:
    """Writes the samples start..stop-1 of one medium; returns their LLaVA records by manifest."""
    from fewvid.data.shapes import files

    made: Records = {}
    shown_as = "image" if medium == "image" else "video"
    for index in range(start, stop):
        file = f"{medium}s/{index:06d}.{'png' if medium == 'image' else 'mp4'}"
        scenes, questions = sample_of(world, split, medium, index)
        write = files.write_picture if medium == "image" else files.write_clip
        write(out / split / file, scenes, world.variant.look)
        described = [] if medium == "album" else captions(scenes[0])
        for manifest, asked in (("s", questions), ("_captions", described)):
            for number, question in enumerate(asked):
                name = f"{split}/{medium}{manifest}/{index:06d}/{number}"
                record = {"id": name, shown_as: file} | _record(question, shown_as)
                made.setdefault(f"{medium}{manifest}.json", []).append(record)
    return made


def _record(question: Question, medium: str) -> dict[str, Any]:
    labels = {"kind": question.kind, "dimension": question.dimension}
    return (labels | {"answers": list(question.answers)} if question.answers else labels) | {
        "conversations": [
            {"from": "human", "value": f"<{medium}>\n{question.text}"},
            {"from": "gpt", "value": question.answer},
        ]
    }
