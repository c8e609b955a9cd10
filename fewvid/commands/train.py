"""Runs a stage or a strategy from a config; the same command again resumes it.

  python -m fewvid train --config configs/s3_iv.py:tiny --workdir runs/tiny

Any key of the config can be set: --config.seed=1 --config.stages[0].steps=50. The result is
{workdir}/model, a model directory for `chat` and `inspect`. Ctrl-C or a kill loses at most the
steps since the last checkpoint; SIGTERM saves first and ends with exit code 143.
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import Any

from fewvid.commands import places
from fewvid.errors import UserError, closest

TERMINATED = 143  # 128 + SIGTERM, as a shell reports it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `train`."""
    parser.add_argument(
        "--config", required=True, metavar="FILE[:ARG]", help="such as configs/s3_iv.py:shapes"
    )
    parser.add_argument(
        "--workdir", required=True, type=places.path, help="where the run lives; names the run"
    )
    # argparse has no flags whose names are not known before: what it does not know, and begins
    # with --config., is kept for ml_collections.
    parse = parser.parse_known_args

    def with_overrides(args: Any = None, namespace: Any = None) -> Any:
        found, rest = parse(args, namespace)
        found.overrides = [flag for flag in rest if flag.startswith("--config.")]
        return found, [flag for flag in rest if not flag.startswith("--config.")]

    parser.parse_known_args = with_overrides


def run(args: argparse.Namespace) -> int:
    """Trains, or goes on, and prints where the model is."""
    config = read_config(args.config, args.overrides)
    workdir = args.workdir.expanduser()
    places.check_folder(workdir, "--workdir")
    keep_compiled(workdir)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # it misses torch, which is not used
    from fewvid.training.loop import Stopped
    from fewvid.training.run import run as run_stages

    try:
        model = run_stages(config, workdir)
    except Stopped as stopped:
        print(f"{stopped}; the same command goes on from there")
        return TERMINATED
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last checkpoint, if there is one")
        raise
    print(f"the model is in {model}")
    return 0


def read_config(config: str, overrides: list[str]) -> Any:
    """Loads FILE[:ARG] and applies "--config.key=value" flags, as ml_collections does.

    Raises UserError for a file that is not there, an argument or key that it does not know, or a
    value of another type.
    """
    from absl import flags
    from ml_collections import config_flags

    file = Path(config.partition(":")[0])
    if not file.is_file():
        there = sorted(path.name for path in file.parent.glob("*.py"))
        raise UserError(
            f"--config {config}: no file {file}"
            + (f"; {file.parent} has {', '.join(there)}." if there else ".")
            + closest(file.name, there)
        )
    for flag in overrides:
        if "=" not in flag:
            raise UserError(f"{flag} needs a value, written {flag}=VALUE")
    argv = ["train", f"--config={config}", *overrides]
    values = flags.FlagValues()  # its own: absl's global flags stay as they were
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=argv, lock_config=True)
    try:
        values(argv)
        return values["config"].value
    except (AttributeError, KeyError, IndexError) as error:
        hint = re.search(r'Did you mean "\w+"', str(error))
        raise UserError(
            f"{config} has no such key: {', '.join(overrides)} ({_first_words(error)})"
            + (f". {hint.group()}?" if hint else "")
        ) from None
    except (flags.Error, ValueError, TypeError) as error:
        raise UserError(f"{str(error).strip().splitlines()[-1]}") from None


def _first_words(error: Exception) -> str:
    """The missing key's name, or what was wrong with an index."""
    return str(error).replace("\\n", "\n").splitlines()[0].strip("'\"\\ ")


def keep_compiled(workdir: Path) -> None:
    """Compiled programs stay in the working directory, so that a restart begins at once."""
    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(workdir.absolute() / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
