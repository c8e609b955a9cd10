"""`shapes`, the built-in miniature world: small videos and pictures with questions in words.

scene (what is there and how it changes) -> render (frames) and questions (what can be asked)
-> world (files: mp4, png, LLaVA JSON).
"""

from fewvid.data.shapes.world import World, write_world

__all__ = ["World", "write_world"]
