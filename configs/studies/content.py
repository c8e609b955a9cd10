"""python -m fewvid study content --out runs/studies/content

Where the sampler fails: clips with little or much motion, clutter, small and large things.
"""

from ml_collections import ConfigDict

from fewvid.studies import recipes
from fewvid.studies.config import ExamConfig


def get_config(arg: str = "full") -> ConfigDict:
    """arg: `tiny`, `laptop` or `full`."""
    size = recipes.size(arg)
    variants = {
        "still": {"motion": "still"},
        "slow": {"motion": "slow"},
        "fast": {"motion": "fast"},
        "clutter": {"clutter": 12},
        "small": {"scale": "small"},
        "large": {"scale": "large"},
    }
    exams = [recipes.CLIPS, *(ExamConfig(name, variant=v) for name, v in variants.items())]
    names = tuple(exam.name for exam in exams)
    cells = [
        recipes.cell(size, f"attention, K = {size.keep}", exams=names),
        recipes.cell(size, f"random, K = {size.keep}", sampler="random", exams=names),
        recipes.cell(size, "all tokens", keep=size.tokens, exams=names),
    ]
    return recipes.study("content", size, cells, exams)
