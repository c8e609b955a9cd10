"""The command line: `python -m fewvid <command>`, one module a command under fewvid/commands/.

Only the chosen command's module is imported, so that help comes at once. A user's mistake
(`UserError`, a wrong flag, a full disk) is one line on stderr and exit code 2; any other
exception is a fault of fewvid and keeps its traceback.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

from fewvid.errors import UserError, closest, one_line

# command -> (its module, what it does in one line)
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("fewvid.commands.demo", "extend the shipped image model to video and show the gain"),
    "chat": ("fewvid.commands.chat", "answer a question about a video or a picture"),
    "inspect": ("fewvid.commands.inspect", "draw the tokens that are kept over the frames"),
    "train": ("fewvid.commands.train", "run a stage or a strategy from a config; resumable"),
    "plan": (
        "fewvid.commands.plan",
        "what a run needs of chips that are not there, before renting",
    ),
    "study": ("fewvid.commands.study", "run an experiment that tests a claim; writes its page"),
    "convert": ("fewvid.commands.convert", "import from Hugging Face, export to it, verify"),
    "bench": ("fewvid.commands.bench", "time the parts on this machine, beside transformers"),
    "data": ("fewvid.commands.data", "make the built-in world of small videos and pictures"),
}

PROGRAM = "python -m fewvid"
USER_ERROR, INTERRUPTED, BROKEN_PIPE = 2, 130, 141
# what the machine refuses, and the user can mend: no room, no permission, no such place
REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
REFUSALS |= {errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are `UserError`s; flags must be written out in full."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **{"allow_abbrev": False} | kwargs)

    def error(self, message: str) -> NoReturn:
        """Raises UserError, with the nearest flag where one is not known and where to look."""
        unknown = message.removeprefix("unrecognized arguments: ").split("=")[0].split()
        hint = closest(unknown[0], self._option_string_actions) if unknown else ""
        raise UserError(f"{message}.{hint} See {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code; `argv` is sys.argv[1:] where it is None."""
    try:
        try:
            return dispatch(sys.argv[1:] if argv is None else argv)
        finally:
            sys.stdout.flush()
    except UserError as error:
        return complain(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # the reader has gone (`| head`): nothing may be written to it at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        return complain(f"{error.strerror}: {error.filename or 'while writing'}")


def dispatch(argv: Sequence[str]) -> int:
    """Finds the command that `argv` names, lets it read the rest and runs it."""
    top = Parser(
        prog=PROGRAM,
        usage=f"{PROGRAM} <command> [options]",
        description="Turns an image model that talks into a video model that talks.",
        epilog=f"commands:\n{command_table()}\n\nMore of one: {PROGRAM} <command> --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="store_true", help="print the version and exit")
    top.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    chosen = top.parse_args(argv[:1])
    if chosen.version:
        from fewvid import __version__

        print(f"fewvid {__version__}")
        return 0
    if chosen.command is None:
        top.print_help(sys.stderr)
        return USER_ERROR
    if chosen.command not in COMMANDS:
        raise UserError(unknown_command(chosen.command, COMMANDS))
    module_name, summary = COMMANDS[chosen.command]
    module = importlib.import_module(module_name)
    parser = Parser(
        prog=f"{PROGRAM} {chosen.command}",
        description=module.__doc__ or summary,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    return module.run(parser.parse_args(argv[1:]))


def command_table() -> str:
    """Returns one line a command: its name and what it does."""
    return "\n".join(f"  {name:9} {summary}" for name, (_, summary) in COMMANDS.items())


def unknown_command(got: str, known: Iterable[str]) -> str:
    """Returns the error for a command that is not there, naming those that are."""
    return f"no command {got!r}; there are {', '.join(known)}.{closest(got, known)}"


def complain(message: str) -> int:
    """Prints the message on one line of stderr and returns exit code 2."""
    print(one_line(message), file=sys.stderr)
    return USER_ERROR


if __name__ == "__main__":
    sys.exit(main())
