"""python -m fewvid study kind --out runs/studies/kind

Whether questions about what changes over time are worth more than others, at the same small
number of clips.
"""

from ml_collections import ConfigDict

from fewvid.studies import recipes


def get_config(arg: str = "full") -> ConfigDict:
    """arg: `tiny`, `laptop` or `full`."""
    size = recipes.size(arg)
    few = max(1, size.scale.clips // 10)
    cells = [
        recipes.cell(size, kind, kind=kind, clips=few) for kind in ("temporal", "mixed", "static")
    ]
    return recipes.study("kind", size, cells)
