"""python -m fewvid study transfer --out runs/studies/transfer

What a model trained on `shapes` knows of another look, of longer clips and of questions that it
was never trained on.
"""

from ml_collections import ConfigDict

from fewvid.studies import recipes
from fewvid.studies.config import ExamConfig


def get_config(arg: str = "full") -> ConfigDict:
    """arg: `tiny`, `laptop` or `full`."""
    size = recipes.size(arg)
    exams = [
        recipes.CLIPS,
        ExamConfig("another look", variant={"look": "alt"}),
        ExamConfig("longer", variant={"frames": 16}, frames=16),
        recipes.PICTURES,
        ExamConfig("pictures, another look", medium="image", variant={"look": "alt"}),
    ]
    names = tuple(exam.name for exam in exams)
    unseen = ("speed", "events")
    cells = [
        recipes.cell(size, "image model", strategy="none", exams=names),
        recipes.cell(size, "S3-IV", exams=names),
        recipes.cell(size, f"S3-IV without {' and '.join(unseen)}", without=unseen, exams=names),
    ]
    return recipes.study("transfer", size, cells, exams)
