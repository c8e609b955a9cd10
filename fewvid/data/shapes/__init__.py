"""`shapes`, the built-in miniature world: small videos and pictures with questions in words.

random_scene (what is there and how it changes) -> renderers (frames) and questions (what can be
asked) -> world (files: mp4, png, LLaVA JSON) or arrays (in memory). A variant is another world.
"""

from fewvid.data.shapes.arrays import draw
from fewvid.data.shapes.variant import Variant
from fewvid.data.shapes.world import World, write_world

__all__ = ["Variant", "World", "draw", "write_world"]
