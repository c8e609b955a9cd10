"""python -m fewvid study diversity --out runs/studies/diversity

How many kinds of scenes and of questions are needed, at the same number of clips.
"""

from ml_collections import ConfigDict

from fewvid.data.shapes.scene import COLOURS, FORMS
from fewvid.studies import recipes

# Temporal and static dimensions in turn, so that any head of it has both.
MIXED = (
    "direction", "colour", "change", "place", "size",
    "events", "look", "moment", "speed",
    "moment_colour", "when", "relation", "order", "shape", "count", "existence",
)  # fmt: skip


def get_config(arg: str = "full") -> ConfigDict:
    """arg: `tiny`, `laptop` or `full`."""
    size = recipes.size(arg)
    few = max(1, size.scale.clips // 10)
    cells = [recipes.cell(size, "all", clips=few)]
    scenes = {
        "3 forms, 6 colours": (3, 6),
        "2 forms, 6 colours": (2, 6),
        "2 forms, 4 colours": (2, 4),
    }
    asked = {"9 of 16 questions": 9, "5 of 16 questions": 5, "2 of 16 questions": 2}
    if arg == "tiny":
        scenes, asked = dict([*scenes.items()][-1:]), dict([*asked.items()][-1:])
    for name, (forms, colours) in scenes.items():
        variant = {"forms": FORMS[:forms], "colours": COLOURS[:colours]}
        cells.append(recipes.cell(size, name, clips=few, variant=variant))
    for name, count in asked.items():
        cells.append(recipes.cell(size, name, clips=few, without=MIXED[count:]))
    return recipes.study("diversity", size, cells)
