"""Questions and answers about one clip, each read together with all that was said before."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from fewvid.data.clip import Clip
from fewvid.errors import UserError
from fewvid.inference import checks, generate, parts
from fewvid.inference.clock import Clock
from fewvid.inference.view import View
from fewvid.models.config import (
    LvlmConfig,
    candidates,
    kept_tokens,
    visual_tokens,
    visual_tokens_per_frame,
)


@dataclass(frozen=True)
class Answer:
    """What the model said, and what it cost.

    frames_used: frames that it saw, which may be fewer than asked for (`notes` says why).
    tokens_per_frame: N, of which the sampler kept `kept` (on average, where it spends one budget
      over the clip), of which the decoder read `read_per_frame` (the same number, except where
      learned queries stand between).
    views: in how many views each frame was seen: 1, or the whole and the tiles of a still picture;
      then N and `kept` are those of a view, and `read_per_frame` counts all that was read of it.
    change: how much the clip changes, where that decided `kept` (keep="auto"), else None.
    milliseconds: by part: decode, encode, select, adapt, prefill, generate; and `compile`, which
      only the first answer of a shape spends.
    """

    text: str
    question: str
    frames_used: int
    tokens_per_frame: int
    kept: int
    read_per_frame: int
    sampler: str
    milliseconds: dict[str, float]
    notes: tuple[str, ...] = ()
    change: float | None = None
    views: int = 1


class Conversation:
    """Several questions about one view of a clip. `turns` holds (question, answer) so far.

    Where the sampler chooses by the question, the first one decides what all of them see.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self.turns: list[tuple[str, str]] = []
        self._visual: jax.Array | None = None  # once something is asked
        self._clock = view.clock  # the first answer's cost includes looking

    def ask(
        self, question: str, *, temperature: float = 0.0, max_tokens: int = 32, seed: int = 0
    ) -> Answer:
        """One answer, generated in a single call on the device."""
        pieces = self.stream(
            question,
            temperature=temperature,
            max_tokens=max_tokens,
            seed=seed,
            chunk=max(max_tokens - 1, 1),
        )
        while True:
            try:
                next(pieces)
            except StopIteration as stop:
                return stop.value

    def stream(
        self,
        question: str,
        *,
        temperature: float = 0.0,
        max_tokens: int = 32,
        seed: int = 0,
        chunk: int = 4,
    ) -> Generator[str, None, Answer]:
        """Yields the answer's text in pieces, `chunk` tokens at a time; returns the Answer.

        Raises UserError where question, frames and answer exceed what the decoder can read, and
        for an empty question.
        """
        checks.check_question(question)
        checks.check_answering(temperature, max_tokens, seed)
        model, clock = self.view.model, self._clock
        if self.view.tiling:  # what is read of a picture in tiles hangs on what is chosen of it
            self.view.choose(question)
        ids, notes = self._prompt(question, max_tokens)
        if self._visual is None:
            self.view.choose(question)
            self._visual = self.view.visual()
        prefix = len(model.chat.prefix_ids(0))
        text = parts.padded(len(ids) - prefix - self.view.shown)
        tokens = np.full((1, prefix + self.view.room + text), model.chat.pad, np.int32)
        tokens[0, : len(ids)] = ids
        last = jnp.array([len(ids) - 1], jnp.int32)
        logits, cache = model.programs.run(
            clock,
            "prefill",
            parts.read,
            model.params,
            self._visual,
            tokens,
            last,
            np.int32(model.chat.visual_of(self.view.clip.is_picture)),
            config=self.view.config,
            length=tokens.shape[1] + max_tokens,
            dtype=model.dtype,
        )
        given: list[int] = []
        text = grown = ""
        for piece in generate.stream(
            model.config,
            model.params,
            logits,
            last,
            cache,
            max_tokens=max_tokens,
            draw=generate.Draw.of(model.chat.eos, temperature, seed),
            chunk=chunk,
            dtype=model.dtype,
            run=partial(model.programs.run, clock, "generate"),
        ):
            given += [int(token) for token in piece[0]]
            if model.chat.eos in given:
                given = given[: given.index(model.chat.eos)]
            grown = model.chat.decode(given)
            # a letter of several bytes may still be in the making: wait for the rest of it
            if len(grown) > len(text) and not grown.endswith("\ufffd"):
                yield grown[len(text) :]
                text = grown
        if len(grown) > len(text):  # the answer ends within a letter: there is no rest of it
            yield grown[len(text) :]
            text = grown
        self.turns.append((question, text))
        self._clock = Clock()
        return self._answer(question, text, clock, notes)

    def _prompt(self, question: str, max_tokens: int) -> tuple[list[int], tuple[str, ...]]:
        """The ids of everything so far and the question; old turns go where there is no room."""
        model = self.view.model
        shown, picture = self.view.shown, self.view.clip.is_picture
        most = model.config.decoder.max_length
        for forgotten in range(len(self.turns) + 1):
            turns = self.turns[forgotten:]
            ids = model.chat.prompt_ids(shown, turns, question, picture=picture)
            if len(ids) + max_tokens <= most:
                break
        else:
            asked = len(model.chat.question_ids(question))
            raise UserError(
                f"{self._seen()}, a question of {asked} and an answer of "
                f"up to {max_tokens} exceed the {most} tokens that the "
                "model reads; use a smaller --frames, --keep or --max-tokens, or ask in fewer words"
            )
        notes = () if not forgotten else (f"no room: the first {forgotten} turns were left out",)
        return ids, notes

    def _answer(self, question: str, text: str, clock: Clock, notes: tuple[str, ...]) -> Answer:
        view = self.view
        return Answer(
            text=text,
            question=question,
            frames_used=len(view.clip.frames),
            tokens_per_frame=candidates(view.config),
            kept=view.kept,
            read_per_frame=self._read(),
            sampler=view.sampler,
            milliseconds=dict(clock.milliseconds),
            notes=(*view.clip.notes, *notes),
            change=view.change,
            views=view.tiling.views if view.tiling else 1,
        )

    def _read(self) -> int:
        """How many tokens of a frame the decoder reads."""
        view = self.view
        return view.shown if view.tiling else visual_tokens_per_frame(view.config, view.kept)

    def _seen(self) -> str:
        """What is seen, in words."""
        if self.view.tiling:
            return f"a picture of {self.view.tiling.views} views, {self.view.shown} tokens in all"
        return f"{len(self.view.clip.frames)} frames of {self._read()} tokens"


def check_room(config: LvlmConfig, clip: Clip, keep: int | None) -> None:
    """Raises UserError where the visual tokens alone exceed what the decoder reads.

    Of a picture in tiles whose tokens are chosen among, how many are read is known only then.
    """
    of_clip, tiling = checks.config_for(config, clip), checks.tiling_for(config, clip)
    frames, most = len(clip.frames), config.decoder.max_length
    if tiling is not None:
        if kept_tokens(of_clip, keep) == candidates(of_clip) and tiling.tokens >= most:
            raise UserError(
                f"a picture of {tiling.views} views, {tiling.tokens} tokens in all, exceeds the "
                f"{most} tokens that the model reads; use a smaller --keep"
            )
    elif visual_tokens(of_clip, frames, keep) >= most:
        raise UserError(
            f"{frames} frames of {visual_tokens_per_frame(of_clip, keep)} tokens exceed the {most} "
            "tokens that the model reads; use a smaller --frames or --keep"
        )
