"""Manifests: LLaVA JSON or JSONL files listing samples, and groups and fractions of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fewvid.data.conversations import read_conversation
from fewvid.data.sample import Group, MediaType, Sample
from fewvid.errors import UserError, closest

KINDS = ("static", "temporal")


def read_manifest(path: Path | str, media_root: Path | str | None = None) -> list[Sample]:
    """Reads a `.json` list or a `.jsonl` file of LLaVA records.

    Media paths are relative to `media_root`, or else to the manifest's folder. Keys that are not
    known are left alone. Raises UserError naming file, record number (from 0) and key.
    """
    path = Path(path)
    root = Path(media_root) if media_root else path.parent
    records = _records(path)
    if not records:
        raise UserError(f"{path} has no records; a manifest is a JSON list or one object a line")
    return [_sample(record, root, f"{path}, record {i}") for i, record in enumerate(records)]


def group_by_media(samples: Sequence[Sample]) -> list[Group]:
    """All samples of one file (and one system text) as one group, in order of first appearance.

    A text-only sample is a group of its own.
    """
    groups: dict[Any, list[Sample]] = {}
    for number, sample in enumerate(samples):
        key = number if sample.media is None else (sample.media, sample.system)
        groups.setdefault(key, []).append(sample)
    return [tuple(group) for group in groups.values()]


def subset(groups: Sequence[Group], fraction: float, seed: int = 0) -> list[Group]:
    """A `fraction` of the groups, in their old order; the smaller lies inside the larger.

    Stratified by (kind, dimension); a group with several counts as its rarest one. Each stratum
    is shuffled and spread evenly over 0..1 from a random offset, and the lowest places are taken:
    so every fraction is a head of one fixed order, and holds each stratum's share to within one.
    Raises UserError where fraction is not in (0, 1], or so small that nothing is left.
    """
    if not 0 < fraction <= 1:
        raise UserError(f"fraction must be above 0 and at most 1, got {fraction}")
    labels = [{(s.kind or "", s.dimension or "") for s in group} for group in groups]
    counts = Counter(label for group in labels for label in group)
    strata: dict[tuple[str, str], list[int]] = {}
    for index, group in enumerate(labels):
        strata.setdefault(min(group, key=lambda label: (counts[label], label)), []).append(index)
    rng = np.random.default_rng(seed)
    places = np.empty(len(groups))
    for label in sorted(strata):
        members = rng.permutation(strata[label])
        places[members] = (np.arange(len(members)) + rng.random()) / len(members)
    take = round(fraction * len(groups))
    if groups and not take:
        raise UserError(
            f"fraction {fraction:g} of {len(groups)} files is none; set it to "
            f"{1 / len(groups):.2g} or more"
        )
    return [groups[i] for i in sorted(np.argsort(places, kind="stable")[:take])]


def _records(path: Path) -> list[Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"no manifest at {path}; check the path of the source") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read manifest {path}: {error}") from None
    try:
        if text.lstrip().startswith("["):
            return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not valid JSON: {error}") from None
    records = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise UserError(f"{path}, line {number} is not valid JSON: {error}") from None
    return records


def _sample(record: Any, root: Path, where: str) -> Sample:
    if not isinstance(record, dict):
        raise UserError(f"{where} must be an object, got {record!r:.60}")
    if "conversations" not in record:
        raise UserError(f"{where}: key 'conversations' is missing; its keys: {sorted(record)}")
    media, media_type = _media(record, root, where)
    system, turns = read_conversation(record["conversations"], where)
    kind = record.get("kind")
    if kind is not None and kind not in KINDS:
        raise UserError(
            f"{where}: key 'kind' must be one of {', '.join(KINDS)}, got {kind!r}."
            f"{closest(str(kind), KINDS)}"
        )
    dimension = record.get("dimension")
    if dimension is not None and not isinstance(dimension, str):
        raise UserError(f"{where}: key 'dimension' must be text, got {dimension!r:.60}")
    answers = record.get("answers") or []
    if not isinstance(answers, list) or not all(isinstance(a, str) for a in answers):
        raise UserError(f"{where}: key 'answers' must be a list of text, got {answers!r:.60}")
    name = str(record.get("id", where.rsplit(" ", 1)[-1]))
    return Sample(name, media, media_type, turns, kind, dimension, tuple(answers), system)


def _media(record: dict[str, Any], root: Path, where: str) -> tuple[Path | None, MediaType]:
    image, video = record.get("image"), record.get("video")
    if image and video:
        raise UserError(f"{where}: has both 'image' and 'video'; a record has one or neither")
    for key, value in (("image", image), ("video", video)):
        if value is not None and not isinstance(value, str):
            raise UserError(f"{where}: key {key!r} must be a path, got {value!r:.60}")
    if image:
        return root / image, "image"
    if video:
        return root / video, "video"
    return None, "text"
