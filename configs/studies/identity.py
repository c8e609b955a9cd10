"""python -m fewvid study identity --out runs/studies/identity

Whether keeping all N tokens of a frame is exactly the model without a sampler.
"""

from ml_collections import ConfigDict

from fewvid.samplers import SAMPLERS
from fewvid.studies import recipes


def get_config(arg: str = "full") -> ConfigDict:
    """arg: `tiny`, `laptop` or `full`."""
    size = recipes.size(arg)
    names = ("random", "attention", "density_merge") if arg == "tiny" else tuple(SAMPLERS)
    cells = [
        recipes.cell(size, name, sampler=name, keep=size.tokens, strategy="none") for name in names
    ]
    return recipes.study("identity", size, cells, measure=["identity"])
