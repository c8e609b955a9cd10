"""Encoder outputs of every media file, worked out once: for stages whose encoder is frozen.

Tokens are kept as float16: half the memory, and an error (about 1 part in 2000) that is far below
what training does to them. A cached run is therefore close to the uncached one, not bit-equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from fewvid.data.batches import BatchShape
from fewvid.data.loader import THREADS
from fewvid.data.media import BadSamples, Frames, read_frames
from fewvid.data.sample import Group, Sample
from fewvid.errors import UserError

# uint8[B,T,H,W,3] -> tokens float[B,T,N,D], response float32[B,T,N]
EncodeFn = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
LIMIT_BYTES = 4 << 30


class CachedFrames(NamedTuple):
    """tokens float16[T,N,D], response float32[T,N], times float32[T] seconds; T as in the file."""

    tokens: np.ndarray
    response: np.ndarray
    times: np.ndarray


class FeatureStore:
    """Cached frames by media file. Build it with `build`; the loader reads it with `get`."""

    def __init__(self, kept: dict[str, CachedFrames], report: BadSamples) -> None:
        self._kept = kept
        self.report = report
        tokens = next((c.tokens for c in kept.values()), np.zeros((0, 1, 1), np.float16))
        self._none = CachedFrames(
            np.zeros((0, *tokens.shape[1:]), np.float16),
            np.zeros((0, tokens.shape[1]), np.float32),
            np.zeros(0, np.float32),
        )

    @property
    def nbytes(self) -> int:
        """Memory held, bytes."""
        return sum(c.tokens.nbytes + c.response.nbytes for c in self._kept.values())

    def get(self, sample: Sample) -> CachedFrames:
        """The cached frames of a sample (none for text).

        Raises UserError for media that did not decode when the store was built.
        """
        name = str(sample.media)
        if sample.media is None:
            return self._none
        if name not in self._kept:
            raise UserError(f"{name}: {self.report.reasons.get(name, 'not in the feature cache')}")
        return self._kept[name]

    @classmethod
    def build(
        cls,
        groups: Iterable[Group],
        shape: BatchShape,
        encode_fn: EncodeFn,
        progress: Callable[[int, int], None] | None = None,
        *,
        batch_frames: int = 256,
        limit_bytes: int = LIMIT_BYTES,
        threads: int = THREADS,
        report: BadSamples | None = None,
    ) -> FeatureStore:
        """Encodes the media of all groups, `batch_frames` single frames (T = 1) at a time.

        Frames are encoded one by one, whichever clip they come from, so that one compiled shape
        serves images and videos. progress(done, total) counts files.
        Raises UserError where it would take more than `limit_bytes`, after the first batch, and
        past the report's fraction of bad media; without a report, a warning names them.
        """
        bad = report or BadSamples()
        groups = list(groups)
        bad.expect(groups)
        samples = list({str(g[0].media): g[0] for g in groups if g[0].media is not None}.values())
        most = sum(1 if s.media_type == "image" else shape.frames for s in samples)
        kept: dict[str, CachedFrames] = {}
        waiting: list[tuple[str, Frames]] = []
        with ThreadPoolExecutor(threads) as pool:
            ahead = max(1, batch_frames // shape.frames)
            for start in range(0, len(samples), ahead):
                part = samples[start : start + ahead]
                for sample, found in zip(part, pool.map(_reader(shape), part), strict=True):
                    if isinstance(found, Frames):
                        bad.good(str(sample.media))
                        waiting.append((str(sample.media), found))
                    else:
                        bad.bad(str(sample.media), found)
                last = start + ahead >= len(samples)
                if waiting and (last or sum(len(f.times) for _, f in waiting) >= batch_frames):
                    kept |= _encode(waiting, encode_fn, batch_frames)
                    waiting = []
                    _check_room(kept, most, limit_bytes)
                if progress:
                    progress(min(start + ahead, len(samples)), len(samples))
        if report is None:
            bad.warn()
        return cls(kept, bad)


def _reader(shape: BatchShape) -> Callable[[Sample], Frames | str]:
    def read(sample: Sample) -> Frames | str:
        try:
            return read_frames(sample, shape.frames, shape.image_size)
        except (UserError, OSError) as error:
            return str(error)

    return read


def _encode(
    waiting: Sequence[tuple[str, Frames]], encode_fn: EncodeFn, batch_frames: int
) -> dict[str, CachedFrames]:
    pixels = np.concatenate([frames.pixels for _, frames in waiting])
    parts = []
    for start in range(0, len(pixels), batch_frames):
        part = pixels[start : start + batch_frames]
        full = np.zeros((batch_frames, 1, *part.shape[1:]), np.uint8)
        full[: len(part), 0] = part
        tokens, response = encode_fn(full)
        tokens, response = np.asarray(tokens), np.asarray(response)
        parts.append((tokens[: len(part), 0], response[: len(part), 0]))
    tokens = np.concatenate([t for t, _ in parts]).astype(np.float16)
    response = np.concatenate([r for _, r in parts]).astype(np.float32)
    if not np.isfinite(tokens).all():
        raise UserError("features are too large for float16; set cache_features=False")
    cuts = np.cumsum([len(frames.times) for _, frames in waiting])[:-1]
    by_file = zip(waiting, np.split(tokens, cuts), np.split(response, cuts), strict=True)
    return {name: CachedFrames(t.copy(), r.copy(), f.times) for (name, f), t, r in by_file}


def _check_room(kept: dict[str, CachedFrames], most_frames: int, limit: int) -> None:
    first = next(iter(kept.values()))
    need = most_frames * (first.tokens[0].nbytes + first.response[0].nbytes)
    if need > limit:
        raise UserError(
            f"caching the features of {most_frames} frames takes {need / 2**30:.1f} GiB, over the "
            f"limit of {limit / 2**30:.1f} GiB; set cache_features=False or use a smaller fraction"
        )
