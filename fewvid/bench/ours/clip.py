"""A whole question about a clip, from its pictures to the first token, by `inference.model`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from fewvid.bench.cases import Case
from fewvid.bench.ours.weights import random_params
from fewvid.bench.sizes import Size
from fewvid.bench.timing import Ready
from fewvid.data.clip import Clip
from fewvid.data.tokenizer import Chat, train_tokenizer
from fewvid.inference.model import Model

PARTS = ("encode", "select", "adapt", "prefill", "generate")
WORD = "which"


def load(size: Size) -> Callable[[Case], Ready]:
    """Cases with `keep`. What is left of the whole beside `PARTS` is `preprocess`."""
    chat = Chat(train_tokenizer([WORD], min(size.model.decoder.vocab_size, 512)))
    params = random_params(size, ("encoder", "adapter", "decoder"))
    model = Model(size.model, params, chat, dtype=jnp.dtype(size.dtype))
    room = size.text - len(chat.question_ids("")) - 1  # for bos
    question = " ".join([WORD] * room)
    shape = (size.frames, *size.picture, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    seconds = np.arange(size.frames, dtype=np.float32) / 4
    video = Clip(frames, seconds, size.frames, size.frames, size.frames / 4, "pictures")

    def prepare(case: Case) -> Ready:
        taken: list[dict[str, float]] = []

        def ask() -> dict[str, float]:
            started = time.perf_counter()
            answer = model.answer(video, question, keep=case.options["keep"], max_tokens=1)
            whole = 1e3 * (time.perf_counter() - started)
            parts = {part: answer.milliseconds[part] for part in PARTS}
            spent = sum(answer.milliseconds.values())
            taken.append({"preprocess": whole - spent} | parts)
            return answer.milliseconds

        compile_seconds = ask()["compile"] / 1e3
        taken.clear()

        def parts() -> dict[str, Any]:
            of = {part: statistics.median(t[part] for t in taken) for part in taken[0]}
            return {"milliseconds": {part: round(value, 3) for part, value in of.items()}}

        return Ready(ask, compile_seconds, parts)

    return prepare
