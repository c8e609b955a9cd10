"""Where a command may write, found out before its work is done rather than after.

A place is tried, not guessed from permission bits: those say nothing of /proc, of a file system
that is read-only, or of a name that is too long.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path

from fewvid import buckets
from fewvid.errors import UserError, closest

PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def path(text: str) -> Path:
    """The argparse type of an output path; refuses "", which would be the current folder.

    "" is what a shell makes of a variable that is not set; who means the folder writes `.`.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("the path is empty; name a place, or . for this folder")
    if buckets.is_address(text):
        raise argparse.ArgumentTypeError(
            f"{text} is in a bucket, where only `train --workdir` writes; name a place here"
        )
    return Path(text)


def workdir(text: str) -> Path | str:
    """The argparse type of a working directory: a path, or an address gs://bucket/folder."""
    return text if buckets.is_address(text) else path(text).expanduser()


def check_folder(folder: Path, flag: str) -> None:
    """Raises UserError where `folder` is not there and cannot be made, or takes no new file.

    Leaves nothing behind: folders that are made to find out are removed again.
    flag: what the user is to change, such as `--out`.
    """
    made: list[Path] = []
    try:
        missing: list[Path] = []
        while not folder.exists() and not folder.is_symlink():
            missing.append(folder)
            folder = folder.parent
        if not folder.is_dir():
            raise UserError(f"{flag}: {folder} is a file, wanted a folder; choose another {flag}")
        for folder in reversed(missing):
            folder.mkdir()
            made.append(folder)
        _write_in(folder)
    except OSError as error:
        raise _refused(folder, flag, error) from None
    finally:
        for folder in reversed(made):
            with contextlib.suppress(OSError):  # another process has put something in it
                folder.rmdir()


def check_file(file: Path, flag: str) -> None:
    """Raises UserError where `file` cannot be written: a folder, or one in a folder that refuses.

    A file that is there is not changed. flag: what the user is to change, such as `--json`.
    """
    try:
        if file.is_dir():
            raise UserError(f"{flag} {file} is a folder; give the name of a file in it")
        if not file.parent.is_dir():
            raise UserError(f"{flag} {file}: there is no folder {file.parent}; make it first")
        if file.is_file():
            file.open("ab").close()
        elif not file.exists():  # a device such as /dev/null takes what it is given
            _write_in(file.parent, file.name)
    except OSError as error:
        raise _refused(file, flag, error) from None


def check_picture(file: Path, flag: str) -> None:
    """`check_file` of a picture, whose name also says its format."""
    if file.suffix.lower() not in PICTURES:
        raise UserError(
            f"{flag} {file}: a picture's name must end in {', '.join(PICTURES)}."
            f"{closest(file.suffix.lower(), PICTURES)}"
        )
    check_file(file, flag)


def _write_in(folder: Path, name: str = "") -> None:
    """Makes a file in the folder and removes it: one of that name where one is given."""
    if name:
        (folder / name).open("xb").close()
        (folder / name).unlink()
    else:
        tempfile.TemporaryFile(dir=folder).close()


def _refused(place: Path, flag: str, error: OSError) -> UserError:
    why = (error.strerror or str(error)).lower()
    return UserError(f"{flag} {place} cannot be written ({why}); choose another {flag}")
