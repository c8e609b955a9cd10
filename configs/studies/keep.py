"""python -m fewvid study keep --out runs/studies/keep

How many of a frame's N tokens are needed: accuracy by dimension, operations and time by part.
"""

from ml_collections import ConfigDict

from fewvid.studies import recipes


def get_config(arg: str = "full") -> ConfigDict:
    """arg: `tiny`, `laptop` or `full`."""
    size = recipes.size(arg)
    keeps = [size.tokens // part for part in ((8, 1) if arg == "tiny" else (16, 8, 4, 2, 1))]
    cells = [recipes.cell(size, f"K = {keep}", keep=keep) for keep in keeps]
    if arg != "tiny":  # whether what few tokens gain or lose is only learnt sooner
        longer = (cells[1], cells[-1])
        cells += [recipes.twice_the_steps(size, cell) for cell in longer]
    return recipes.study("keep", size, cells, measure=["costs"])
