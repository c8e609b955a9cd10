"""python -m fewvid study samplers --out runs/studies/samplers

Every sampling strategy against random choice: trained with it, and applied to a model that
was trained with all tokens.
"""

from ml_collections import ConfigDict

from fewvid.samplers import SAMPLERS
from fewvid.studies import recipes


def get_config(arg: str = "full") -> ConfigDict:
    """arg: `tiny`, `laptop` or `full`."""
    size = recipes.size(arg)
    keeps = (size.keep,) if arg == "tiny" else [size.tokens // part for part in (16, 8, 4)]
    names = ("random", "attention") if arg == "tiny" else tuple(SAMPLERS)
    cells = [recipes.cell(size, "all tokens", keep=size.tokens)]
    for keep in keeps:
        for name in names:
            at = f"{name}, K = {keep}"
            cells.append(recipes.cell(size, at, sampler=name, keep=keep))
            changes = {"sampler": name, "keep": keep, "of": "all tokens"}
            cells.append(recipes.cell(size, f"{at}, only applied", **changes))
    if arg != "tiny":  # whether one is only learnt with sooner than the other
        keep = keeps[-1]
        longer = [f"{name}, K = {keep}" for name in ("random", "attention")]
        cells += [recipes.twice_the_steps(size, cell) for cell in cells if cell.name in longer]
    return recipes.study("samplers", size, cells, measure=["coverage", "locality", "dropped"])
