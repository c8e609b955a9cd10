"""The miniature world's exam: what a model answers about clips and pictures it has not seen.

Files are encoded once. Models that share the encoder (a model before and after an extension that
leaves the encoder alone) sit the same exam without encoding anything again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fewvid.data.manifest import read_manifest
from fewvid.data.sample import Sample
from fewvid.errors import UserError
from fewvid.evaluation import questions, scores
from fewvid.evaluation.questions import Progress
from fewvid.evaluation.scores import Score
from fewvid.evaluation.table import Line

if TYPE_CHECKING:
    from fewvid.data.tokenizer import Chat
    from fewvid.models.config import LvlmConfig


class Candidate(Protocol):
    """What an exam needs of a model; `fewvid.Model` has it."""

    config: LvlmConfig
    params: Any
    frames: int

    @property
    def chat(self) -> Chat: ...


@dataclass(frozen=True)
class Report:
    """Scores by dimension: of the clips, of the clips with one frame repeated, of the pictures."""

    clips: dict[str, Score]
    one_frame: dict[str, Score]
    pictures: dict[str, Score]

    @property
    def temporal(self) -> float:
        """Mean over the temporal dimensions, 0..1."""
        return scores.mean(self.clips.values(), "temporal") or 0.0

    @property
    def temporal_one_frame(self) -> float:
        """The same with the middle frame of a clip in place of all its frames."""
        return scores.mean(self.one_frame.values(), "temporal") or 0.0

    def shares(self) -> dict[str, Any]:
        """The accuracies as numbers in 0..1, dimensions apart."""
        return {
            "static": scores.mean(self.clips.values(), "static"),
            "temporal": self.temporal,
            "temporal_one_frame": self.temporal_one_frame,
            "image": scores.mean(self.pictures.values(), "static"),
            "temporal_exact": scores.mean(self.clips.values(), "temporal", exact=True),
            "dimensions": {name: score.accuracy for name, score in self.clips.items()},
        }

    def chance(self) -> dict[str, float]:
        """What guessing among the valid answers would give, by dimension."""
        return {name: score.chance for name, score in self.clips.items()}

    def counts(self) -> dict[str, int]:
        """How many questions there were, by dimension."""
        return {name: score.total for name, score in self.clips.items()}

    def lines(self, before: Report) -> list[Line]:
        """The rows of a table that puts `before` beside this report."""
        temporal = {name: s for name, s in self.clips.items() if s.kind == "temporal"}
        return [
            _mean("pictures", before.pictures, self.pictures, "static"),
            _mean("clips, static", before.clips, self.clips, "static"),
            _mean("clips, temporal", before.clips, self.clips, "temporal", strong=True),
            *(
                Line(f"  {name}", s.chance, before.clips[name].accuracy, s.accuracy, _half([s]))
                for name, s in sorted(temporal.items())
            ),
            _mean("  one frame repeated", before.one_frame, self.one_frame, "temporal"),
        ]


class Exam:
    """The questions of a split of the world, with its files encoded by one model's encoder."""

    def __init__(
        self, model: Candidate, split: Path, clips: int, progress: Progress | None = None
    ) -> None:
        """clips: how many clips, and as many pictures, of the split (or all, if it has fewer).

        progress(done, total) counts the files that are encoded.
        """
        self._frames = model.frames
        self._clips = _first(read_manifest(split / "videos.json"), clips)
        self._pictures = _first(read_manifest(split / "images.json"), clips)
        told = (model.config, model.params)
        self._of_clips = questions.encode(
            *told, self._clips, frames=self._frames, progress=progress
        )
        self._of_pictures = questions.encode(*told, self._pictures, frames=1)

    def of(self, model: Candidate, progress: Progress | None = None) -> Report:
        """The report of a model with the encoder that the exam was made with.

        progress(done, total) counts questions.
        """
        temporal = [sample for sample in self._clips if sample.kind == "temporal"]
        total, before = len(self._clips) + len(temporal) + len(self._pictures), 0

        def asked(done: int, _: int) -> None:
            if progress:
                progress(before + done, total)

        def ask(samples: Sequence[Sample], **options: Any) -> dict[str, Score]:
            nonlocal before
            told = (model.config, model.params, model.chat, samples)
            options |= {"frames": self._frames, "progress": asked}
            found = scores.by_dimension(questions.ask(*told, **options))
            before += len(samples)
            return found

        return Report(
            clips=ask(self._clips, features=self._of_clips),
            one_frame=ask(temporal, features=self._of_clips, one_frame=True),
            pictures=ask(self._pictures, features=self._of_pictures),
        )

    def first(self, dimension: str) -> Sample:
        """The first question of that dimension about a clip, in the manifest's order."""
        for sample in self._clips:
            if sample.dimension == dimension:
                return sample
        raise UserError(f"the exam's {len(self._clips)} questions hold none about {dimension!r}")


def _first(samples: Sequence[Sample], files: int) -> list[Sample]:
    """The samples of the first `files` media files."""
    chosen = set(list(dict.fromkeys(str(sample.media) for sample in samples))[:files])
    return [sample for sample in samples if str(sample.media) in chosen]


def _half(of: Sequence[Score]) -> float:
    """Half of the 95 % interval of the mean of independent shares (normal approximation)."""
    variance = sum(s.accuracy * (1 - s.accuracy) / s.total for s in of) / len(of) ** 2
    return 1.96 * math.sqrt(variance)


def _mean(
    name: str,
    before: dict[str, Score],
    after: dict[str, Score],
    kind: str,
    strong: bool = False,
) -> Line:
    of = [score for score in after.values() if score.kind == kind]
    return Line(
        name,
        scores.chance(of, kind),
        scores.mean(before.values(), kind) or 0.0,
        scores.mean(of, kind) or 0.0,
        _half(of),
        strong,
    )
