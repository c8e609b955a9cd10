"""What a sampler kept of a clip: the value that `Model.select` returns and `overlay.draw` draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Selection:
    """The kept patches of every frame, with the frames themselves as the file shows them.

    indices: for each of T frames int32[K], its kept patches, sorted; patch i lies in row i // grid,
      column i % grid of the square picture that the encoder sees (of a model that pools, the
      places that are left). Frames keep different numbers,
      K on average, where the sampler spends one budget over the clip (`temporal`).
    scores: float32[T,N], the visual attention response of every patch.
    frames: uint8[T,H,W,3], in the file's own size and aspect.
    times: float32[T], seconds from the first frame.
    grid: patches along one side, so N = grid * grid.
    sampler, model: the names for a caption.
    change: how much the clip changes, where that decided K (`--keep auto`), else None.
    notes: what a user should know, in plain words, one a line.
    """

    indices: tuple[np.ndarray, ...]
    scores: np.ndarray
    frames: np.ndarray
    times: np.ndarray
    grid: int
    sampler: str = ""
    model: str = ""
    change: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def kept(self) -> int:
        """K, the kept patches of a frame, on average."""
        return sum(self.counts) // len(self.counts)

    @property
    def counts(self) -> tuple[int, ...]:
        """How many patches of each frame are kept."""
        return tuple(len(indices) for indices in self.indices)

    @property
    def tokens(self) -> int:
        """N, the patches of a frame."""
        return self.grid**2

    def mask(self) -> np.ndarray:
        """Returns bool[T,grid,grid], true where a patch is kept."""
        mask = np.zeros((len(self.frames), self.tokens), bool)
        for kept, indices in zip(mask, self.indices, strict=True):
            kept[indices] = True
        return mask.reshape(-1, self.grid, self.grid)
