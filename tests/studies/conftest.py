"""Made-up results of a study: what a report is drawn from, without a training."""

import math
from dataclasses import asdict
from zlib import crc32

import numpy as np
import pytest

from fewvid.commands.configs import load_config
from fewvid.data.shapes.questions import CHANCE, TEMPORAL
from fewvid.models import flops
from fewvid.models.config import LvlmConfig
from fewvid.studies.config import StudyConfig, parse
from fewvid.studies.coverage import UNTRAINED
from fewvid.studies.reports.parts import PARTS
from fewvid.studies.results import Results

BETTER = {"attention": 0.06, "attention_merge": 0.07, "temporal": 0.05, "maxmin": 0.02}
HARD = {"direction": 0.12, "speed": 0.08, "events": 0.03}
HARMED_BY = {"small": 0.08, "clutter": 0.05, "fast": 0.03, "another look": 0.1}
PICTURED = ("colour", "shape", "count", "place", "existence", "size", "look", "relation")


def _share(study, cell, exam, name, noise) -> float:
    """An accuracy that is believable: better with more of all that helps."""
    temporal, tokens = name in TEMPORAL, study.scale.model["encoder"]["image_size"] ** 2 / 16
    top = 0.985 - HARD.get(name, 0.0) - HARMED_BY.get(exam.name, 0.0)
    dropped = max(0.0, math.log2(max(cell.train_keep or (tokens,)) / cell.keep)) / 8
    top -= dropped * (0.25 - 2.5 * BETTER.get(cell.sampler, 0.0)) * (1.5 if cell.of else 1.0)
    if temporal:
        trained = 0 if cell.strategy in ("none", "images") or exam.one_frame else cell.clips
        seen = trained * {"static": 0.01, "mixed": 0.8, "temporal": 1.0}[cell.kind]
        known = 1 - math.exp(-((seen / 900) ** 0.5)) if name not in cell.without else 0.05
        known *= 1 - 1 / cell.frames
    else:
        lost = {"none": 0.06, "s4_v": 0.03, "s2_s3_iv": 0.01}.get(cell.strategy, 0.0)
        known = 1 - lost - (0.05 if name in cell.without else 0.0)
    known *= 0.85 if cell.variant.get("forms") else 1.0
    chance = CHANCE[name]
    return float(np.clip(chance + (top - chance) * known + noise, 0, 1))


def made_up(study: StudyConfig, *, seeds: int = 0, spread: float = 0.006, only=None) -> Results:
    """Results of a parsed config. spread: between seeds; only: the dimensions asked about."""
    seeds = seeds or study.seeds
    cells = {}
    for cell in study.cells:
        scores: dict = {}
        for exam in map(study.exam, cell.exams):
            scores[exam.name] = {}
            for name in PICTURED if exam.medium == "image" else CHANCE:
                if only is not None and name not in only:
                    continue
                rng = np.random.default_rng(crc32(f"{cell.name} {exam.name} {name}".encode()))
                total = study.scale.test
                found = [
                    _share(study, cell, exam, name, rng.normal(0, spread) if spread else 0.0)
                    for _ in range(seeds)
                ]
                scores[exam.name][name] = {
                    "kind": "temporal" if name in TEMPORAL else "static",
                    "chance": CHANCE[name],
                    "total": total,
                    "right": [round(share * total) for share in found],
                }
        about = {"scores": scores, "seconds": 60.0, "made_on": ["1 x some device, fewvid 0"]}
        cells[cell.name] = {"config": asdict(cell), **about}
    values = {
        "study": study.study,
        "command": f"python -m fewvid study {study.study}",
        "date": "2030-01-01",
        "measured_on": dict.fromkeys(study.measure, "1 x some device, fewvid 0, jax 0"),
        "minutes": 1.0,
        "config": asdict(study) | {"seeds": seeds},
        "cells": cells,
        "costs": {cell.name: _costs(study, cell) for cell in study.cells},
        "identity": _identity(study),
        "coverage": _coverage(study),
        "locality": _locality(),
        "dropped": _dropped(seeds),
    }
    return Results(values)


def _costs(study, cell) -> dict:
    sampler = {**study.scale.model["sampler"], **cell.sampling}
    adapter = {**study.scale.model["adapter"], **cell.adapter}
    config = LvlmConfig.from_dict(study.scale.model | {"sampler": sampler, "adapter": adapter})
    counted = flops.clip(config, cell.keep, cell.sampler, cell.frames, 16)
    return {
        "flops": counted,
        "seconds": {part: counted[part] / 4e12 + 2e-5 for part in PARTS},
        "quartiles": {
            part: [counted[part] / 4.2e12, counted[part] / 3e12 + 3e-5] for part in PARTS
        },
        "visual_tokens": cell.frames * cell.keep,
        "clips_at_once": 4,
    }


def _identity(study) -> dict:
    found = {}
    for place, cell in enumerate(study.cells):
        keeps = {cell.keep // part: part for part in (1, 2, 8)}
        found[cell.sampler] = {
            "K": {
                str(keep): {
                    "largest": 0.0 if part == 1 else 0.02 * part * 1.3**place,
                    "changed": 0.0 if part == 1 else 0.01 * part + 0.003 * place,
                }
                for keep, part in keeps.items()
            }
        }
    return found


def _coverage(study) -> dict:
    kept: dict = {}
    for name in (*{cell.sampler for cell in study.cells} - {"pool"}, UNTRAINED):
        for keep in {cell.keep for cell in study.cells}:
            missed = 0.6 / keep if name in ("random", UNTRAINED) else 0.002
            shares = {"on": {"mean": 0.7, "half": 0.02}, "missed": {"mean": missed, "half": 0.01}}
            kept.setdefault(name, {})[str(keep)] = shares
    return {"area": {"mean": 0.08, "half": 0.005}, "kept": kept}


def _locality() -> dict:
    means = {"pixels": 0.5, "encoder, untrained": 0.85, "encoder": 0.99, "adapter": 0.98}
    of = {
        source: {what: {"mean": mean, "half": 0.02} for what in ("colour", "form")}
        for source, mean in means.items()
    }
    return {"off": of, "on": of}


def _dropped(seeds: int) -> dict:
    def scores(share: float) -> dict:
        return {
            name: {
                "kind": "static",
                "chance": 0.5,
                "total": 400,
                "right": [int(400 * share)] * seeds,
            }
            for name in PICTURED
        }

    shares = {"tokens": (0.98, 0.97, 0.97), "mlp": (0.95, 0.89, 0.7)}
    kept = ("attention", "random", "off things")
    of = {n: dict(zip(kept, map(scores, each), strict=True)) for n, each in shares.items()}
    return {"keep": 16, "steps": 400, "scores": of}


@pytest.fixture(scope="session")
def studied():
    """Gives made-up results of a study's config, such as studied("keep", seeds=1)."""

    def make(name: str, size: str = "tiny", **how) -> Results:
        return made_up(parse(load_config(f"configs/studies/{name}.py:{size}")), **how)

    return make
