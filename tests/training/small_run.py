"""A run of two or three small stages: the file that `train --config` reads."""

import string

TEXT = string.Template("""
from fewvid.training import recipes

def get_config(arg):
    size = recipes.size("tiny")
    align, pretrain = recipes.align(size), recipes.pretrain(size)
    instruct = recipes.instruct(size, recipes.IMAGES_AND_VIDEOS)
    stages = {"one": [align], "two": [align, instruct], "three": [align, pretrain, instruct]}
    config = recipes.config(stages[arg], start=size, chosen=size)
    config.world.update(clips=$clips, images=8)
    config.mesh.update($mesh)
    for stage in config.stages:
        stage.update(steps=$steps, checkpoint_every=$every)
    return config
""")


def write(folder, *, clips, steps, every, mesh=""):
    """Writes config.py into the folder: config.py:one, two and three are of so many stages.

    every: steps from one checkpoint to the next; mesh: what its sizes are, such as "fsdp=-1".
    """
    text = TEXT.substitute(clips=clips, steps=steps, every=every, mesh=mesh)
    (folder / "config.py").write_text(text)
