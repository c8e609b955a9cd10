"""python -m fewvid study strategies --out runs/studies/strategies

Where the videos come into the training: S4-V, S3-IV or S2-S3-IV, at equal steps and clips.
"""

from ml_collections import ConfigDict

from fewvid.studies import recipes


def get_config(arg: str = "full") -> ConfigDict:
    """arg: `tiny`, `laptop` or `full`."""
    size = recipes.size(arg)
    named = {
        "image model": "none",
        "images alone": "images",
        "S4-V": "s4_v",
        "S3-IV": "s3_iv",
        "S2-S3-IV": "s2_s3_iv",
    }
    cells = [
        recipes.cell(size, name, strategy=strategy, exams=("clips", "one frame", "pictures"))
        for name, strategy in named.items()
    ]
    if arg != "tiny":  # whether the last, which begins its adapter anew, only needs longer
        cells.append(recipes.twice_the_steps(size, cells[-1]))
    exams = [recipes.CLIPS, recipes.ONE_FRAME, recipes.PICTURES]
    return recipes.study("strategies", size, cells, exams)
