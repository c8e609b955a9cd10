"""The other side of a comparison: a model of transformers, in the type that is compared.

It runs in torch, which is reached through transformers alone: fewvid itself never imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class How:
    """dtype: of weights and of what is computed, float32 or bfloat16; on: a device of JAX."""

    dtype: str
    on: Any

    @classmethod
    def of(cls, dtype: str) -> How:
        """float32 on the CPU: a GPU rounds what it multiplies in float32, each side its own way."""
        import jax

        return cls(dtype, jax.devices("cpu" if dtype == "float32" else None)[0])

    @property
    def theirs(self) -> str:
        """Torch's name of the device."""
        return "cuda" if self.on.platform == "gpu" else "cpu"

    def placed(self, arrays: Any) -> Any:
        """Weights, or what is given, as they are, there."""
        import jax

        return jax.device_put(arrays, self.on)


@dataclass(frozen=True)
class Theirs:
    """A model of transformers; exact: the same in float32, where it is not."""

    model: Any
    exact: Any
    how: How

    @classmethod
    def load(cls, folder: Path, name: str, how: How) -> Theirs:
        """The class `name` of transformers from a folder."""
        exact = how.dtype != "float32"
        loaded = (_load(folder, name, dtype, how) for dtype in (how.dtype, *["float32"] * exact))
        return cls(next(loaded), next(loaded, None), how)

    def say(
        self, given: Mapping[str, np.ndarray], get: Callable[[Any], Any], **options: Any
    ) -> Said:
        """What it makes of arrays of numpy; get: what is wanted of its outputs."""
        models = [self.model, *[self.exact] * (self.exact is not None)]
        found = [get(_called(model, given, self.how, **options)) for model in models]
        arrays = [each.detach().float().cpu().numpy() for each in found]
        return Said(arrays[0], arrays[1] if self.exact is not None else None)


@dataclass(frozen=True)
class Said:
    """Numbers of theirs, and the same in float32, where they are not."""

    theirs: np.ndarray
    exact: np.ndarray | None

    def only(self, part: Any) -> Said:
        """Part of both."""
        return Said(self.theirs[part], None if self.exact is None else self.exact[part])


def _load(folder: Path, name: str, dtype: str, how: How) -> Any:
    import transformers

    transformers.logging.disable_progress_bar()
    model = getattr(transformers, name)
    loaded = model.from_pretrained(
        str(folder), dtype=dtype, local_files_only=True, use_safetensors=True
    )
    return loaded.to(how.theirs).eval()


def _called(model: Any, given: Mapping[str, np.ndarray], how: How, **options: Any) -> Any:
    """Their outputs for arrays of numpy."""
    from transformers import BatchFeature

    there = BatchFeature(dict(given), tensor_type="pt").to(how.theirs)
    typed = {key: x.to(model.dtype) if x.is_floating_point() else x for key, x in there.items()}
    return model(**typed, **options)
