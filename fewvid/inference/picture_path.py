"""Whether a picture can be written where the user wants it, asked before the work is done."""

from __future__ import annotations

import os
from pathlib import Path

from fewvid.errors import UserError, closest

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def check_picture_path(path: Path) -> None:
    """Raises UserError for a folder that is not there or not writable, or an unknown suffix."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(
            f"{path}: a picture's name must end in {', '.join(SUFFIXES)}."
            f"{closest(path.suffix.lower(), SUFFIXES)}"
        )
    if path.is_dir():
        raise UserError(f"{path} is a folder; give the name of a picture in it")
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}; make it first")
    target = path if path.exists() else path.parent
    if not os.access(target, os.W_OK):
        raise UserError(f"{path} cannot be written (no permission); choose another place")
