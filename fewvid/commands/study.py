"""Runs one of the experiments that hold the claims up, and writes its page.

  python -m fewvid study keep --config configs/studies/keep.py:tiny --out runs/studies/keep-tiny

The folder then holds results.json, the figures and README.md, the page. The same command again goes
on from the cells that are finished. Several studies may share the image model that they start from
(--base) and the experiments that they have in common (--cells).
"""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path

import fewvid
from fewvid.commands import places
from fewvid.commands.configs import keep_compiled, read_config, with_overrides
from fewvid.errors import UserError

UNFINISHED = 75  # EX_TEMPFAIL of sysexits.h: try again


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `study`."""
    parser.add_argument("name", metavar="NAME", help="a study of configs/studies, such as keep")
    parser.add_argument(
        "--config",
        metavar="FILE[:ARG]",
        help="default configs/studies/NAME.py:full, for a GPU; :laptop for two cores, :tiny to try",
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
    with_overrides(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the study, or goes on with it, and prints what was found."""
    config = args.config or f"configs/studies/{args.name}.py:full"
    values = read_config(config, args.overrides)
    out = args.out.expanduser()
    places.check_folder(out, "--out")
    for folder, flag in ((args.base, "--base"), (args.cells, "--cells")):
        if folder is not None:
            places.check_folder(folder.expanduser().parent, flag)
    keep_compiled(out)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from fewvid.studies.config import parse
    from fewvid.studies.reports import REPORTS
    from fewvid.studies.run import run as run_study
    from fewvid.training.progress import display

    study = parse(values)
    if study.study != args.name:
        raise UserError(
            f"{config} is a config of the study {study.study!r}, not of {args.name!r}; give "
            f"--config configs/studies/{args.name}.py:{study.size}"
        )
    shown = display()
    try:
        found = run_study(
            study,
            out,
            say=shown.say,
            command=_command(args, config),
            version=fewvid.__version__,
            base_dir=args.base and args.base.expanduser(),
            cells_dir=args.cells and args.cells.expanduser(),
            minutes=args.minutes,
        )
    finally:
        shown.close()
    if found is None:
        return UNFINISHED
    report = REPORTS[study.study]
    print(f"\n{report.title}\n")
    for finding in report.findings(found):
        print(f"- {finding.replace('**', '')}")
    print(f"\nThe page is {out / 'README.md'}")
    return 0


def _minutes(text: str) -> float:
    """The argparse type of --minutes."""
    try:
        minutes = float(text)
    except ValueError:
        minutes = -1.0
    if not minutes >= 0:
        raise argparse.ArgumentTypeError(f"must be a number of minutes from 0 on, got {text!r}")
    return minutes


def _command(args: argparse.Namespace, config: str) -> str:
    """The command that repeats this study, wherever this one was run."""
    out = Path("runs/studies") / args.name
    parts = ["python", "-m", "fewvid", "study", args.name, "--config", config, "--out", str(out)]
    return shlex.join([*parts, *args.overrides])
