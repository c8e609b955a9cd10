"""python -m fewvid train --config configs/instruct.py:shapes --workdir runs/instruct

Stage 3: the adapter and the decoder, on images. It goes on from the model that
`configs/pretrain.py:shapes` made in runs/pretrain, or from --config.init_from=DIR. Of a real size
(`:vicuna_7b`, `:qwen_0_5b`) it has 32 frames, for images and videos of your own. With
'--config.stages[0].lora.rank=16' the decoder stays as it is but for LoRA, which wants a higher
'--config.stages[0].optimizer.learning_rate', such as 2e-4.
"""

from ml_collections import ConfigDict

from fewvid.training import recipes


def get_config(arg: str = "shapes") -> ConfigDict:
    """arg: `tiny` (from random parameters), `shapes`, `vicuna_7b` or `qwen_0_5b`."""
    size = recipes.size(arg)
    sources = recipes.IMAGES_AND_VIDEOS if size.parts else recipes.IMAGES
    start = size if arg == "tiny" else "runs/pretrain/model"
    return recipes.config([recipes.instruct(size, sources)], start=start, chosen=size)
