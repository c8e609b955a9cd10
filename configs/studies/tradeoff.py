"""python -m fewvid study tradeoff --out runs/studies/tradeoff

Tokens of a frame against frames of a clip, at the same number of tokens for the decoder. One model
a number of frames, trained with K drawn at each step, serves all K.
"""

from ml_collections import ConfigDict

from fewvid.studies import recipes
from fewvid.studies.config import ExamConfig


def get_config(arg: str = "full") -> ConfigDict:
    """arg: `tiny`, `laptop` or `full`."""
    size = recipes.size(arg)
    keeps, counts = [size.tokens // part for part in (32, 16, 8, 4, 2)], (2, 4, 8, 16)
    if arg == "tiny":
        keeps, counts = (2, 4), (4, 8)
    longest = {"frames": counts[-1]}
    cells = []
    for frames in counts:
        shared = {"variant": longest, "frames": frames, "exams": ("clips",)}
        model = f"T = {frames}"
        cells.append(recipes.cell(size, model, keep=size.keep, train_keep=tuple(keeps), **shared))
        cells += [
            recipes.cell(size, f"{model}, K = {keep}", keep=keep, of=model, **shared)
            for keep in keeps
        ]
    exams = [ExamConfig("clips", variant=longest)]
    return recipes.study("tradeoff", size, cells, exams, measure=["costs"])
