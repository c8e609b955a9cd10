"""The world as files: mp4 clips, png pictures and LLaVA JSON, the same bytes for the same seed.

    OUT/world.json
    OUT/{train,validation,test}/videos.json, videos/000000.mp4
                                images.json, images/000000.png
                                texts.json (only where texts were asked for)

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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fewvid.data.shapes.questions import CHANCE, STATIC, TEMPORAL, Question, ask
from fewvid.data.shapes.scene import Scene, clip_scene, image_scene
from fewvid.errors import UserError

SPLITS = ("train", "validation", "test")
MEDIA = ("video", "image", "text")
FRAMES, FPS, SIZE = 8, 4, 64
CHUNK = 50  # samples that one worker makes at a time
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class World:
    """How much of the world: training clips, images and texts; validation and test get a tenth."""

    clips: int
    images: int
    texts: int = 0
    seed: int = 0

    def count(self, split: str, medium: str) -> int:
        """Samples of one medium in one split: a tenth, at least 16, of the training ones."""
        wanted = {"video": self.clips, "image": self.images, "text": self.texts}[medium]
        return wanted if split == "train" or not wanted else max(wanted // 10, 16)


def scene_of(world: World, split: str, medium: str, index: int) -> tuple[Scene, list[Question]]:
    """The scene at that place of the world and all that is asked of it."""
    place = (world.seed, SPLITS.index(split), MEDIA.index(medium), index)
    rng = np.random.default_rng(place)
    scene = image_scene(rng) if medium == "image" else clip_scene(rng, FRAMES)
    return scene, ask(scene, rng)


def write_world(
    out: Path,
    *,
    clips: int,
    images: int,
    texts: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
    workers: int | None = None,
) -> None:
    """Writes the world under `out`; `progress(done, total)` is called as samples are finished.

    The world is made beside `out` and moved there whole, so that a killed run leaves nothing
    half made; the same world already there is left alone.
    Raises UserError where `out` holds anything else, or a number is negative.
    """
    world = World(clips, images, texts, seed)
    if min(clips, images, texts) < 0 or clips + images + texts == 0:
        raise UserError(f"a world needs clips or images: got --clips {clips} --images {images}")
    if (out / "world.json").exists():
        there = json.loads((out / "world.json").read_text())
        if there.get("world") == asdict(world):
            return
        raise UserError(f"{out} holds another world ({there.get('world')}); give another --out")
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} exists and is not a world of shapes; give another --out")
    beside = out.with_name(f".{out.name}.making")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    _fill(world, beside, progress, workers or min(os.cpu_count() or 1, 16))
    if out.exists():
        out.rmdir()
    os.replace(beside, out)


def _fill(world: World, out: Path, progress: Progress | None, workers: int) -> None:
    tasks = []
    for split in SPLITS:
        for medium in MEDIA:
            count = world.count(split, medium)
            if count:
                (out / split / f"{medium}s").mkdir(parents=True)
            tasks += [(split, medium, i, min(i + CHUNK, count)) for i in range(0, count, CHUNK)]
    records: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    done, total = 0, sum(stop - start for *_, start, stop in tasks)

    def finished(task: tuple[str, str, int, int], made: list[dict[str, Any]]) -> None:
        nonlocal done
        records[task[:3]] = made
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
    for split in SPLITS:
        for medium in MEDIA:
            parts = [records[key] for key in sorted(records) if key[:2] == (split, medium)]
            if parts:
                text = json.dumps([record for part in parts for record in part], indent=0)
                (out / split / f"{medium}s.json").write_text(text + "\n")
    counts = {s: {m: world.count(s, m) for m in MEDIA} for s in SPLITS}
    about = {"world": asdict(world), "samples": counts, "chance": CHANCE}
    about |= {"static": STATIC, "temporal": TEMPORAL, "frames": FRAMES, "fps": FPS, "size": SIZE}
    (out / "world.json").write_text(json.dumps(about, indent=1) + "\n")


def make(world: World, out: Path, split: str, medium: str, start: int, stop: int) -> list[dict]:
    """Writes the samples start..stop-1 of one medium and returns their LLaVA records."""
    from fewvid.data.shapes import files
    from fewvid.data.shapes.transcript import transcribe

    records = []
    for index in range(start, stop):
        scene, questions = scene_of(world, split, medium, index)
        media, marker, name = {}, "", f"{medium}s/{index:06d}"
        if medium == "text":
            marker = transcribe(scene) + "\n"
        else:
            media = {medium: f"{name}.{'mp4' if medium == 'video' else 'png'}"}
            marker = f"<{medium}>\n"
            write = files.write_clip if medium == "video" else files.write_picture
            write(out / split / media[medium], scene)
        for number, q in enumerate(questions):
            records.append(
                {"id": f"{split}/{name}/{number}"}
                | media
                | {"kind": q.kind, "dimension": q.dimension, "answers": list(q.answers)}
                | {
                    "conversations": [
                        {"from": "human", "value": marker + q.text},
                        {"from": "gpt", "value": q.answer},
                    ]
                }
            )
    return records
