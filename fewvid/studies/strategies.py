"""Where the videos come into the training of an image model that is finished: data, not code."""

from __future__ import annotations

from dataclasses import dataclass

ADAPTER_AND_DECODER = ("adapter/.*", "decoder/.*")
ADAPTER_AND_LAST_BLOCKS = ("adapter/.*", "encoder/layers/.*@-3:")


@dataclass(frozen=True)
class Phase:
    """Part of a training. share: of the steps; clips, pictures: whether a batch has them.

    Without clips a batch has as many rows all the same, all of them pictures.

    new_adapter: the adapter begins anew, with random parameters.
    """

    trainable: tuple[str, ...]
    share: float = 1.0
    clips: bool = True
    pictures: bool = True
    new_adapter: bool = False

    def moves(self, part: str) -> bool:
        """Whether parameters of "encoder", "adapter" or "decoder" train."""
        return any(pattern.startswith(part) for pattern in self.trainable)


STRATEGIES: dict[str, tuple[Phase, ...]] = {
    # A fourth stage on video alone.
    "s4_v": (Phase(ADAPTER_AND_DECODER, pictures=False),),
    # Images and videos together in stage 3.
    "s3_iv": (Phase(ADAPTER_AND_DECODER),),
    # ... in stages 2 and 3.
    "s2_s3_iv": (Phase(ADAPTER_AND_LAST_BLOCKS, share=0.5), Phase(ADAPTER_AND_DECODER, share=0.5)),
    # No videos: what more training on images alone does.
    "images": (Phase(ADAPTER_AND_DECODER, clips=False),),
    # A new adapter learns to see on images first: it is what the others have behind them.
    "new_adapter": (
        Phase(ADAPTER_AND_DECODER, clips=False, new_adapter=True),
        Phase(ADAPTER_AND_DECODER),
    ),
    # The image model as it is.
    "none": (),
}
