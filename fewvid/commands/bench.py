"""How fast the parts are on this machine, beside transformers and torch in the same run.

  python -m fewvid bench decode --size cpu
  python -m fewvid bench all --size vicuna_7b --minutes 9 --json speed.json

Weights are random, so that nothing is downloaded. Times are medians after a warm-up, with
quartiles; compiling is counted apart; the floor is what operations, or bytes of memory, would take
at the ceilings that are measured in the same run. Torch is needed for the peer alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fewvid
from fewvid.commands import places
from fewvid.errors import UserError, closest

if TYPE_CHECKING:
    from fewvid.bench.sizes import Size

ALL = "all"
KINDS = ("encode", "prefill", "decode", "clip", "train", "sampler")
SIZES = "tiny (seconds), cpu (two cores), qwen_0_5b, vicuna_7b (a GPU)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `bench`."""
    parser.add_argument("kind", metavar="KIND", help=f"{', '.join(KINDS)} or {ALL}, in that order")
    of = parser.add_mutually_exclusive_group()
    of.add_argument("--size", metavar="NAME", help=f"{SIZES}; default tiny")
    of.add_argument("--model", metavar="MODEL", help="or the sizes of a model, by name or folder")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="default: the size's own")
    parser.add_argument(
        "--peer", choices=("auto", "on", "off"), default="auto", help="default auto: if torch is"
    )
    parser.add_argument("--json", type=places.path, metavar="F", help="write the numbers there")
    parser.add_argument("--page", type=places.path, metavar="F", help="and as Markdown there")
    parser.add_argument("--minutes", type=_positive, help="stop then, with what is there")
    parser.add_argument("--runs", type=int, help="of each case (default 15, fewer of long ones)")


def run(args: argparse.Namespace) -> int:
    """Prints each row as soon as it is there, and writes it; then the whole table."""
    kinds = KINDS if args.kind == ALL else (args.kind,)
    if args.kind not in (*KINDS, ALL):
        known = (*KINDS, ALL)
        raise UserError(
            f"no bench {args.kind!r}; there are {', '.join(known)}.{closest(args.kind, known)}"
        )
    if args.runs is not None and args.runs < 1:
        raise UserError(f"--runs must be 1 or more, got {args.runs}")
    for file, flag in ((args.json, "--json"), (args.page, "--page")):
        if file:
            places.check_file(file, flag)
    name, size = _size(args)
    from fewvid.bench import about, run, table

    about_it: dict[str, Any] = {
        "command": _command(args),
        "fewvid": fewvid.__version__,
        "date": datetime.now(UTC).date().isoformat(),
        "size": name,
        "load": about.load(),
        "sizes": size.to_dict(),
    }

    def on_row(row: dict[str, Any]) -> None:
        print(table.line(row), flush=True)
        _write(args, bench.finish(**about_it))

    bench = run.Run(
        size,
        peer=args.peer,
        runs=args.runs,
        deadline=run.deadline(args.minutes),
        on_row=on_row,
        say=lambda text: print(text, flush=True),
    )
    bench.run(kinds)
    found = bench.finish(**about_it)
    _write(args, found)
    print()
    table.show(found)
    print("\n".join(["", *table.head(found)]))
    for missing in found["left_out"]:
        print(f"left out: {missing}")
    if not found["rows"]:
        raise UserError(f"nothing was timed: {'; '.join(found['left_out'])[:300]}")
    return 0


def _size(args: argparse.Namespace) -> tuple[str, Size]:
    """The name of what is timed, and its sizes."""
    from fewvid.bench import sizes

    if not args.model:
        name = args.size or "tiny"
        size = sizes.find(name)
        return name, dataclasses.replace(size, dtype=args.dtype or size.dtype)
    from fewvid.checkpoints import model_directory

    directory = model_directory.resolve(args.model)
    config = model_directory.read_config(directory)
    frames = model_directory.read_frames(directory)
    dtype = args.dtype or ("bfloat16" if config.decoder.width >= 2048 else "float32")
    return model_directory.short_name(directory), sizes.of_model(config, dtype, frames)


def _write(args: argparse.Namespace, found: dict[str, Any]) -> None:
    """Writes what is known so far, whole or not at all."""
    from fewvid.bench import table

    if args.json:
        _replace(args.json, json.dumps(found, indent=2) + "\n")
    if args.page and found["ours"]:
        lines = [f"`{found['command']}`, {found['date']}", ""]
        lines += [f"- {text}" for text in table.head(found)]
        _replace(args.page, "\n".join([*lines, "", table.markdown(found)]))


def _replace(file: Path, text: str) -> None:
    if not file.exists() or file.is_file():
        beside = file.with_name(f"{file.name}.part")
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, file)
    else:  # a device such as /dev/stdout
        file.write_text(text, encoding="utf-8")


def _command(args: argparse.Namespace) -> str:
    """The command that measures this again, wherever this one was run."""
    parts = ["python", "-m", "fewvid", "bench", args.kind]
    parts += ["--model", args.model] if args.model else ["--size", args.size or "tiny"]
    for flag in ("dtype", "minutes", "runs"):
        value = getattr(args, flag)
        parts += [] if value is None else [f"--{flag}", f"{value}"]
    return shlex.join(parts)


def _positive(text: str) -> float:
    """The argparse type of --minutes."""
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not minutes > 0:
        raise argparse.ArgumentTypeError(f"must be a number of minutes above 0, got {text!r}")
    return minutes
