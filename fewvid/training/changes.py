"""What a run may change when it goes on, and what makes it another run.

How long it trains, how fast it learns, how it is spread over devices and what it tolerates may
change; data, model, batch and order may not. A key that came into fewvid after a config was stored
counts as its default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fewvid.errors import UserError
from fewvid.training.stage import RunConfig, build, differences, plain

CHANGEABLE = (
    r"stages\[\d+\]\.steps",
    r"stages\[\d+\]\.optimizer\.(learning_rate|warmup)",
    r"stages\[\d+\]\.(checkpoint_every|max_bad_fraction|spike|max_skipped)",
    r"mesh\.(slice|data|fsdp|tensor)",
    r"remat",
)
WORDS = (
    "steps, optimizer.learning_rate and .warmup, checkpoint_every, max_bad_fraction, spike and "
    "max_skipped of stages that are not finished, mesh, remat"
)


def refuse_changes(
    old: Mapping[str, Any], new: Mapping[str, Any], where: str, finished: int = 0
) -> list[str]:
    """The changes from one plain config to another, all of which may be made.

    finished: how many stages are done, of which nothing may change any more.
    Raises UserError with those that may not.
    """
    found = differences(completed(old), completed(new))
    refused = [line for line in found if not _may_change(line, finished)]
    if refused:
        raise UserError(
            f"{where} is of a run with another config ({'; '.join(refused)}); give the same config "
            f"to resume it, or another --workdir. What may change: {WORDS}"
        )
    return found


def completed(config: Mapping[str, Any]) -> Any:
    """A stored config with the defaults of what it has not; as it is where it does not fit."""
    try:
        return jsonable(build(RunConfig, plain(config), "config").to_dict())
    except UserError:  # a key that is known no more, which the differences then name
        return config


def jsonable(config: Any) -> Any:
    """Tuples to lists, as JSON gives them back."""
    if isinstance(config, dict):
        return {key: jsonable(value) for key, value in config.items()}
    return [jsonable(value) for value in config] if isinstance(config, list | tuple) else config


def _may_change(line: str, finished: int) -> bool:
    key = line.partition(": ")[0].removeprefix("config.")
    stage = re.match(r"stages\[(\d+)\]", key)
    if stage and int(stage[1]) < finished:
        return False
    return any(re.fullmatch(pattern, key) for pattern in CHANGEABLE)
