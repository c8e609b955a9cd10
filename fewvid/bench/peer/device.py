"""torch on the device that it finds: the one place where it is imported, and only when asked."""

from __future__ import annotations

import importlib
import math
from typing import Any

from fewvid.bench import about
from fewvid.cores import cores


class Device:
    """A CUDA device where torch has one, else the CPU; `dtype` is what models are made in."""

    def __init__(self, dtype: str) -> None:
        self.torch: Any = importlib.import_module("torch")
        cuda = self.torch.cuda.is_available()
        self.platform = "gpu" if cuda else "cpu"
        self.device = self.torch.device("cuda" if cuda else "cpu")
        self.name = self.torch.cuda.get_device_name() if cuda else about.processor()
        self.dtype = getattr(self.torch, dtype)
        if not cuda:
            self.torch.set_num_threads(cores())

    def wait(self) -> None:
        """Returns when all that was begun is done."""
        if self.platform == "gpu":
            self.torch.cuda.synchronize()

    def model(self, config: dict[str, Any]) -> Any:
        """A model of transformers from its config.json, with random weights made on the device."""
        import transformers

        transformers.logging.set_verbosity_error()
        values = dict(config)
        kind = getattr(transformers, values.pop("architectures")[0])
        made = transformers.AutoConfig.for_model(values.pop("model_type"), **values)
        if kind.__name__ == "CLIPVisionModel":
            made = getattr(made, "vision_config", made)
        before = self.torch.get_default_dtype()
        self.torch.set_default_dtype(self.dtype)
        try:
            with self.torch.device(self.device):
                model = kind._from_config(made, attn_implementation="sdpa")
        finally:
            self.torch.set_default_dtype(before)
        return model.to(self.device)

    def uniform(self, *shape: int) -> Any:
        """Random numbers of that shape, of variance 1."""
        made = self.torch.empty(shape, dtype=self.dtype, device=self.device)
        return made.uniform_(-math.sqrt(3), math.sqrt(3))

    def ids(self, rows: int, length: int, vocabulary: int) -> Any:
        """Random ids int64[rows,length], none of the first, special ones."""
        shape = (rows, length)
        return self.torch.randint(5, vocabulary, shape, device=self.device)
