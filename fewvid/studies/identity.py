"""Whether keeping every token is exactly the baseline, for each strategy."""

from __future__ import annotations

from typing import Any

from fewvid.studies.base import Base
from fewvid.studies.config import StudyConfig


def measure(study: StudyConfig, base: Base) -> dict[str, Any]:
    raise NotImplementedError
