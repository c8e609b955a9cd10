"""The tiny model and the video of the inference tests serve the commands too."""

from tests.inference.conftest import config, directory, params, tokenizer, video

__all__ = ["config", "directory", "params", "tokenizer", "video"]
