"""Whether keeping every token of a frame is exactly the model without a sampler."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fewvid import samplers
from fewvid.models import lvlm
from fewvid.models.attention import segment_mask
from fewvid.models.config import LvlmConfig
from fewvid.studies.bank import lay_out
from fewvid.studies.base import Base
from fewvid.studies.choosing import choose
from fewvid.studies.config import CellConfig, StudyConfig
from fewvid.studies.corpus import batch
from fewvid.studies.library import Library
from fewvid.studies.plans import exam_of, model_of

CLIPS = 16
PARTS = (1, 2, 8)  # N / K


def measure(study: StudyConfig, base: Base) -> dict[str, Any]:
    """For the sampler of each cell, against no sampler at all: {"K": {K: {"largest", "changed"}}}.

    largest: of all differences of logits before an answer; changed: the share of answers whose
    likeliest word is another one. At K = N the strategy is run all the same.
    """
    library = Library(base, "float32")
    shelf = exam_of(study.cells[0], study.exam("clips"))
    library.need(shelf, CLIPS)
    bank = library.draw(lambda _: None)
    corpus = library.corpus((shelf,), encoded=True)
    seen = batch(corpus, jnp.arange(CLIPS))
    chosen = corpus.asked.astype(jnp.int32)
    there = np.asarray(chosen) >= 0

    features = lvlm.Features(seen["feature_tokens"], seen["feature_response"])

    def logits(cell: CellConfig, keep: int | None) -> np.ndarray:
        """float32[B,Q,V]; keep None: without a sampler."""
        config = model_of(cell, base.config)
        tokens = config.encoder.tokens if keep is None else keep
        visual = len(corpus.times) * tokens
        text = lay_out(bank, chosen, visual, base.chat.bos, base.chat.visual)
        # Parameters are arguments: of constants the compiler works out beforehand what hangs on
        # them alone, and on a busy CPU (jax 0.10 and 0.12) that was now and then not a number.
        kept = None
        if keep is not None:
            asking = samplers.asks(cell.sampler)
            query = lvlm.ask(base.params, text["tokens"], lvlm.asked_in(text)) if asking else None
            how = {"config": config, "keep": keep, "sampler": cell.sampler}
            kept = choose(base.params, features, seen["times"], query, **how)
        read = {"config": base.config, "visual_id": base.chat.visual, "shape": there.shape}
        return np.asarray(_logits(base.params, features, seen["times"], kept, text, **read))

    whole = logits(study.cells[0], None)
    everything = base.config.encoder.tokens
    found: dict[str, Any] = {}
    for cell in study.cells:
        of = found.setdefault(cell.sampler, {"K": {}})["K"]
        for keep in dict.fromkeys(max(1, everything // part) for part in PARTS):
            kept = logits(cell, keep)
            of[str(keep)] = {
                "largest": float(np.abs(kept - whole)[there].max()),
                "changed": float((kept.argmax(-1) != whole.argmax(-1))[there].mean()),
            }
    return found


@partial(jax.jit, static_argnames=("config", "visual_id", "shape"))
def _logits(
    params: lvlm.Params,
    features: lvlm.Features,
    times: jax.Array,
    kept: samplers.Selection | None,
    text: Any,
    *,
    config: LvlmConfig,
    visual_id: int,
    shape: tuple[int, ...],
) -> jax.Array:
    """float32[B,Q,V] before the answers of the questions of `text`; kept None: no sampler.

    One program for whatever was kept, so that what differs is what was kept and not how a compiler
    has put the operations together.
    """
    module, weights = lvlm.Lvlm(config), {"params": params}
    sample = None if kept is None else lambda *_: kept
    shown: Any = module.apply(weights, features, times, sample, method="see")
    tokens = text["tokens"]
    mask, is_visual = segment_mask(text["segments"]), tokens == visual_id
    inputs = (shown.tokens, tokens, text["positions"], mask, is_visual, None)
    output: Any = module.apply(weights, *inputs, method="read")
    first = text["answer_positions"].reshape(*shape, -1)[..., 0]
    before = jnp.take_along_axis(output[0], first[..., None], axis=1)
    return lvlm.logits(config, params, before)
