"""python -m fewvid study content --out runs/studies/content

Where the sampler fails: clips with little or much motion, clutter, small and large things. With the
recipe's adapter, whose queries read the whole frame, and with one that hides what is dropped.
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
    shared: dict = {"exams": names}
    cells = [
        recipes.cell(size, f"attention, K = {size.keep}", **shared),
        recipes.cell(size, f"random, K = {size.keep}", sampler="random", **shared),
        recipes.cell(size, "all tokens", keep=size.tokens, **shared),
    ]
    few = size.tokens // 16
    shared |= {"strategy": "new_adapter", "adapter": {"queries": "mlp"}}
    shared |= {"sampling": {"response": "encoder"}}
    for sampler in ("attention", "random"):
        name = f"mlp: {sampler}, K = {few}"
        cells.append(recipes.cell(size, name, sampler=sampler, keep=few, **shared))
    if arg != "tiny":
        cells.append(recipes.cell(size, "mlp: all tokens", keep=size.tokens, **shared))
    return recipes.study("content", size, cells, exams)
