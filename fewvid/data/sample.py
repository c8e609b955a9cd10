"""The one internal sample type: a piece of media and what is asked about it.

Every reader (`manifest.py` and those to come) turns its format into these; everything after it
(packing, batches, evaluation) knows nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MediaType = Literal["image", "video", "text"]


@dataclass(frozen=True)
class Turn:
    """One question and its answer, without any media marker."""

    question: str
    answer: str


@dataclass(frozen=True)
class Sample:
    """One conversation about one image, one video, or nothing (text).

    media: where the file is; None for text alone. It need not exist: a missing file is a bad
      sample when it is decoded.
    turns: one for a plain question; several are ONE conversation, each seeing those before it.
    kind: "static" or "temporal"; dimension: what is asked for, such as "direction".
    answers: the valid answers of its kind, where the sample states them.
    system: an instruction that stands before the first question.
    """

    id: str
    media: Path | None
    media_type: MediaType
    turns: tuple[Turn, ...]
    kind: str | None = None
    dimension: str | None = None
    answers: tuple[str, ...] = ()
    system: str | None = None


Group = tuple[Sample, ...]  # all samples of one media file: what the pipeline reads as a unit
