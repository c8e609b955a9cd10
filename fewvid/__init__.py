"""fewvid: turns an image model that talks into a video model that talks, cheaply.

    model = fewvid.load("shapes")
    print(model.answer("clip.mp4", "Which way does the circle move?", keep=16).text)

The public names are below; each is imported when it is first used, so `import fewvid` is quick and
touches no device.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fewvid.errors import UserError
    from fewvid.inference.model import Answer, Model, load
    from fewvid.inference.selection import Selection

    __version__: str

_WHERE = {
    "Answer": "fewvid.inference.model",
    "Model": "fewvid.inference.model",
    "Selection": "fewvid.inference.selection",
    "UserError": "fewvid.errors",
    "load": "fewvid.inference.model",
}

__all__ = ["Answer", "Model", "Selection", "UserError", "__version__", "load"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _WHERE:
        raise AttributeError(f"module 'fewvid' has no attribute {name!r}")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    """The version of the installed package, "0+checkout" where it is not installed."""
    from importlib import metadata

    try:
        return metadata.version("fewvid")
    except metadata.PackageNotFoundError:
        return "0+checkout"
