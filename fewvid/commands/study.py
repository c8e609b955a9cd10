"""Runs experiments that hold the claims up, and writes their pages.

  python -m fewvid study keep --size tiny --out runs/studies/keep-tiny
  python -m fewvid study all --out runs/studies

The folder then holds results.json, the figures and README.md, the page; of several studies (all: of
all there are) each has a folder in it. What they have in common is trained once. The same command
again goes on from the experiments that are finished. With several GPUs start a process for each:

  CUDA_VISIBLE_DEVICES=0 python -m fewvid study all --out runs/studies --share 1/2 &
  CUDA_VISIBLE_DEVICES=1 python -m fewvid study all --out runs/studies --share 2/2 &

and, when both have ended, the command without --share, which writes the pages.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fnmatch
import os
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import fewvid
from fewvid.commands import places
from fewvid.commands.configs import keep_compiled, read_config, with_overrides
from fewvid.errors import UserError, closest

if TYPE_CHECKING:
    from fewvid.studies.config import StudyConfig

PAGE = "README.md"
SIZES = ("tiny", "laptop", "full")  # of studies.recipes, which takes seconds to import
NO_NUMBERS = "A run of minutes to see that all works; its numbers mean nothing."
UNFINISHED = 75  # EX_TEMPFAIL of sysexits.h: try again


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `study`."""
    parser.add_argument(
        "names", metavar="NAME", nargs="+", help="studies of configs/studies, such as keep, or all"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--size",
        choices=SIZES,
        default="full",
        help="full (default), for a GPU; laptop, for two cores; tiny, to see that all runs",
    )
    which.add_argument(
        "--config",
        metavar="FILE[:ARG]",
        help="of one study: a config of your own, instead of configs/studies/NAME.py:SIZE",
    )
    parser.add_argument("--out", required=True, type=places.path, help="where the page goes")
    parser.add_argument(
        "--base",
        type=places.path,
        metavar="MODEL",
        help="the image model of the studies; made there if it is not there (default OUT/base)",
    )
    parser.add_argument(
        "--cells", type=places.path, metavar="D", help="finished experiments (default OUT/cells)"
    )
    parser.add_argument(
        "--minutes",
        type=_minutes,
        help="begin nothing new after them (exit code 75); the same command goes on",
    )
    parser.add_argument(
        "--share",
        type=_share,
        metavar="I/N",
        help="train the I-th of N parts of the experiments and write no pages",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="CELL",
        help="of one study: only cells of this name (* stands for anything); may be given again",
    )
    with_overrides(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the studies, or goes on with them, and prints what was found."""
    out = args.out.expanduser()
    if args.share:  # several start at once: the check below removes again what it made
        with contextlib.suppress(OSError):
            out.mkdir(parents=True, exist_ok=True)
    places.check_folder(out, "--out")
    if args.base and not args.base.expanduser().exists():
        places.check_folder(args.base.expanduser().parent, "--base")
    if args.cells:
        places.check_folder(args.cells.expanduser(), "--cells")
    keep_compiled(out)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from fewvid.studies import run as running
    from fewvid.training.progress import display

    studies = _studies(args)
    many = len(studies) > 1
    common: dict[str, Any] = {
        "base_dir": (args.base or out / "base").expanduser(),
        "cells_dir": (args.cells or out / "cells").expanduser(),
        "version": fewvid.__version__,
    }
    shown, pages = display(), []
    try:
        if args.share:
            return _train_share(args, [*studies.values()], common, shown.say)
        if many and not running.train_all(
            [*studies.values()], say=shown.say, minutes=args.minutes, **common
        ):
            return UNFINISHED
        for config, study in studies.items():
            folder = out / study.study if many else out
            command = _command(study.study, config, args.only, args.overrides)
            minutes = None if many else args.minutes
            found = running.run(
                study, folder, say=shown.say, command=command, minutes=minutes, **common
            )
            if found is None:
                return UNFINISHED
            pages.append((running.fitting(found), found, folder / PAGE))
    finally:
        shown.close()
    for report, found, page in pages:
        tiny = [NO_NUMBERS, ""] if found.values["config"]["size"] == "tiny" else []
        findings = [f"- {finding.replace('**', '')}" for finding in report.findings(found)]
        print("\n".join(["", report.title, "", *tiny, *findings, "", f"The page is {page}"]))
    return 0


def _train_share(
    args: argparse.Namespace,
    studies: list[StudyConfig],
    common: dict[str, Any],
    say: Callable[[str], None],
) -> int:
    """Trains a share of the studies and says what is left to do."""
    from fewvid.studies import run as running
    from fewvid.studies.shares import Share

    share = Share(*args.share)
    if not running.train_all(studies, say=say, minutes=args.minutes, share=share, **common):
        return UNFINISHED
    print(
        f"Share {share.number} of {share.of} is finished. When all are, the same command without "
        "--share writes the pages"
    )
    return 0


def _studies(args: argparse.Namespace) -> dict[str, StudyConfig]:
    """What is to be run, by the config that says so. Raises UserError for names that do not fit."""
    from fewvid.studies.config import parse
    from fewvid.studies.reports import REPORTS

    names = list(dict.fromkeys(REPORTS if "all" in args.names else args.names))
    if args.config and names != args.names[:1]:
        raise UserError(f"--config is a config of one study, but these are {', '.join(names)}")
    for name in names:
        if name not in REPORTS:
            raise UserError(
                f"unknown study {name!r}, wanted all or some of {', '.join(REPORTS)}."
                f"{closest(name, REPORTS)}"
            )
    if args.only and len(names) > 1:
        raise UserError(f"--only chooses cells of one study, but these are {', '.join(names)}")
    found = {}
    for name in names:
        config = args.config or f"configs/studies/{name}.py:{args.size}"
        found[config] = parse(read_config(config, args.overrides))
        if found[config].study != name:
            raise UserError(
                f"{config} is a config of the study {found[config].study!r}, not of {name!r}"
            )
        if args.only:
            found[config] = _only(found[config], args.only)
    return found


def _only(study: StudyConfig, patterns: list[str]) -> StudyConfig:
    """The study with the cells of some names. Raises UserError for a pattern that fits none."""
    from fewvid.studies.config import check

    names = [cell.name for cell in study.cells]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise UserError(
                f"--only {pattern!r} fits no cell of {study.study!r}, which has {', '.join(names)}."
                f"{closest(pattern, names)}"
            )
    chosen = tuple(c for c in study.cells if any(fnmatch.fnmatch(c.name, p) for p in patterns))
    few = dataclasses.replace(study, cells=chosen)
    check(few)
    return few


def _share(text: str) -> tuple[int, int]:
    """The argparse type of --share."""
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError(
            f"must be I/N with I from 1 to N, such as 1/4: got {text!r}"
        )
    return int(number), int(of)


def _minutes(text: str) -> float:
    """The argparse type of --minutes."""
    try:
        minutes = float(text)
    except ValueError:
        minutes = -1.0
    if not minutes >= 0:
        raise argparse.ArgumentTypeError(f"must be a number of minutes from 0 on, got {text!r}")
    return minutes


def _command(name: str, config: str, only: list[str], overrides: list[str]) -> str:
    """The command that repeats this study, wherever this one was run."""
    out = f"runs/studies/{name}"
    parts = ["python", "-m", "fewvid", "study", name, "--config", config, "--out", out]
    chosen = [part for pattern in only for part in ("--only", pattern)]
    return shlex.join([*parts, *chosen, *overrides])
