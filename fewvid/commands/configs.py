"""A config of the command line: FILE[:ARG] with --config.key=value flags, read for any command."""

from __future__ import annotations

import argparse
import os
import re
import runpy
import traceback
from pathlib import Path
from typing import Any

from fewvid.errors import UserError, closest


def with_overrides(parser: argparse.ArgumentParser) -> None:
    """Lets a parser take --config.key=value flags: a list of them, `overrides`.

    argparse has no flags whose names are not known before: what it does not know, and begins with
    --config., is kept for ml_collections.
    """
    parse = parser.parse_known_args

    def parse_known_args(args: Any = None, namespace: Any = None) -> Any:
        found, rest = parse(args, namespace)
        found.overrides = [flag for flag in rest if flag.startswith("--config.")]
        return found, [flag for flag in rest if not flag.startswith("--config.")]

    parser.parse_known_args = parse_known_args


def read_config(config: str, overrides: list[str]) -> Any:
    """Loads FILE[:ARG] and applies "--config.key=value" flags, as ml_collections does.

    Raises UserError for a file that is not there or fails, an argument or key that it does not
    know, or a value of another type.
    """
    from absl import flags
    from ml_collections import config_flags

    made = load_config(config)
    for flag in overrides:
        key, equals, _ = flag.partition("=")
        if not equals:
            raise UserError(f"{flag} needs a value, written {flag}=VALUE")
        if dotted := re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", key).removeprefix(key):
            raise UserError(f"{key}: a place in a list is written in brackets, '{dotted}=VALUE'")
    argv = ["train", *overrides]
    values = flags.FlagValues()  # its own: absl's global flags stay as they were
    try:
        config_flags.DEFINE_config_dict("config", made, flag_values=values, sys_argv=argv)
        values(argv)
        return values["config"].value
    except (AttributeError, KeyError, IndexError) as error:
        hint = re.search(r'Did you mean "\w+"', str(error))
        raise UserError(
            f"{config} has no such key: {', '.join(overrides)} ({_first_words(error)})"
            + (f". {hint.group()}?" if hint else "")
        ) from None
    except (flags.Error, ValueError, TypeError) as error:
        if (said := str(error).strip()).startswith("Could not parse"):
            wrong = said.split(": SyntaxError")[0].removeprefix("Could not parse ")
            said = f"{wrong} is no key; one is written as in '--config.stages[0].steps=2'"
        raise UserError(said.splitlines()[-1]) from None


def load_config(config: str) -> Any:
    """What get_config(arg) of a config file returns, for FILE[:ARG].

    Raises UserError for a file that is not there, is no Python, has no get_config, or raises: a
    file of one's own is mended by its line and error, not by the way that led there.
    """
    from ml_collections import ConfigDict

    name, colon, arg = config.partition(":")
    file = Path(name)
    if not file.is_file():
        there = sorted(path.name for path in file.parent.glob("*.py"))
        raise UserError(
            f"--config {config}: no file {file}"
            + (f"; {file.parent} has {', '.join(there)}." if there else ".")
            + closest(file.name, there)
        )
    try:
        found = runpy.run_path(str(file), run_name="fewvid_config")
        if not callable(get_config := found.get("get_config")):
            raise UserError(f"--config {config}: {file} has no get_config(arg), so it is no config")
        made = get_config(*[arg] if colon else [])
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"--config {config}: {_where(error, file)}") from error
    if not isinstance(made, ConfigDict):
        raise UserError(
            f"--config {config}: get_config of {file} returned {type(made).__name__}, "
            "wanted an ml_collections.ConfigDict"
        )
    return made


def _where(error: Exception, file: Path) -> str:
    """ "configs/mine.py, line 12: NameError: name 'recipe' is not defined"."""
    if isinstance(error, SyntaxError | ValueError) and not _lines(error, file):
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        return f"{file}{line} is no Python ({error.args[0]}); a config has get_config(arg)"
    lines = _lines(error, file)
    at = f", line {lines[-1]}" if lines else ""
    return f"{file}{at}: {type(error).__name__}: {error}"


def _lines(error: Exception, file: Path) -> list[int | None]:
    """The lines of the file that an error came through, the innermost last."""
    return [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]


def _first_words(error: Exception) -> str:
    """The missing key's name, or what was wrong with an index."""
    return str(error).replace("\\n", "\n").splitlines()[0].strip("'\"\\ ")


def keep_compiled(workdir: Path | str) -> None:
    """Compiled programs stay in the working directory, so that a restart begins at once."""
    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = (
            f"{workdir}/compiled" if isinstance(workdir, str) else workdir.absolute() / "compiled"
        )
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
