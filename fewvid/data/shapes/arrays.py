"""The world in memory: many clips or pictures as one array, with no mp4 or png between.

The same samples as `write_world` puts in files, before a codec takes detail from them. Frame t of
a clip is shown at t / FPS seconds.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from math import prod

import numpy as np

from fewvid.cores import cores
from fewvid.data.shapes.questions import Question
from fewvid.data.shapes.renderers import pixels
from fewvid.data.shapes.variant import SIZE
from fewvid.data.shapes.world import World, sample_of

CHUNK = 100  # samples that one worker makes at a time


def draw(
    world: World, split: str, medium: str, start: int, stop: int, workers: int | None = None
) -> tuple[np.ndarray, list[list[Question]]]:
    """Samples start..stop-1 of one medium ("video", "image" or "album") of a split.

    Returns uint8[n,T,SIZE,SIZE,3], RGB, T = 1 for pictures, and the questions of each sample: none
    where the variant's dimensions do not fit it. The numbers of clips of `world` are not looked at.

    workers: processes, as many as cores (at most 16) by default; 1 draws in this one. They need a
    script to have `if __name__ == "__main__":`, and meet in a temporary file without a name, which
    the array maps: it needs that much room in TMPDIR.
    """
    shape = _shape(world, medium, stop - start)
    workers = workers or min(cores(), 16)
    if shape[0] < 4 * CHUNK or workers == 1:  # not worth the start of other processes
        return _drawn(world, split, medium, start, stop)
    questions: list[list[Question]] = [[] for _ in range(shape[0])]
    spawn = multiprocessing.get_context("spawn")  # safe beside JAX's threads
    with tempfile.NamedTemporaryFile(prefix="shapes-") as file:
        with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
            chunks = [(i, min(i + CHUNK, stop)) for i in range(start, stop, CHUNK)]
            futures = {
                pool.submit(_write, file.name, start, world, split, medium, *chunk): chunk
                for chunk in chunks
            }
            for future in as_completed(futures):
                first, end = futures[future]
                questions[first - start : end - start] = future.result()
        # A private copy page by page where it is written to; the file goes when the array does.
        drawn = np.memmap(file.name, np.uint8, mode="c", shape=shape)
    return np.asarray(drawn), questions


def _drawn(
    world: World, split: str, medium: str, start: int, stop: int
) -> tuple[np.ndarray, list[list[Question]]]:
    drawn = np.empty(_shape(world, medium, stop - start), np.uint8)
    asked = []
    for shown, index in zip(drawn, range(start, stop), strict=True):
        scenes, questions = sample_of(world, split, medium, index)
        shown[:] = pixels(scenes, world.variant.look)
        asked.append(questions)
    return drawn, asked


def _shape(world: World, medium: str, count: int) -> tuple[int, ...]:
    return count, 1 if medium == "image" else world.variant.frames, SIZE, SIZE, 3


def _write(
    path: str, origin: int, world: World, split: str, medium: str, start: int, stop: int
) -> list[list[Question]]:
    """Puts the pixels where they belong in the file; a full disk is an OSError here."""
    drawn, questions = _drawn(world, split, medium, start, stop)
    with open(path, "r+b") as file:
        file.seek((start - origin) * prod(drawn.shape[1:]))
        file.write(drawn.data)
    return questions
