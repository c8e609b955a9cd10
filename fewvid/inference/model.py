"""`fewvid.load` and the model that it gives: answer, stream, select, converse, forward."""

from __future__ import annotations

from collections.abc import Generator
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fewvid import buckets
from fewvid.checkpoints import model_directory
from fewvid.data.clip import Clip
from fewvid.data.tokenizer import Chat
from fewvid.inference import checks
from fewvid.inference.clock import Clock
from fewvid.inference.conversation import Answer, Conversation, check_room
from fewvid.inference.programs import Programs
from fewvid.inference.selection import Selection
from fewvid.inference.view import View
from fewvid.models import lvlm
from fewvid.models.config import LvlmConfig

Video = str | Path | Clip


def load(name: str | Path) -> Model:
    """A packaged model by name (`shapes`), or a model directory. Needs no network.

    Its `name` is that of the package, or says which directory it is (`short_name`).
    Raises UserError where it is not there or not whole.
    """
    directory = model_directory.resolve(name)
    config, params = model_directory.load_weights(directory)
    chat = model_directory.load_chat(directory)
    frames = model_directory.read_frames(directory)
    packaged = str(name) in model_directory.packaged_models()
    shown = (
        str(name)
        if packaged
        else model_directory.short_name(name if buckets.is_address(name) else directory)
    )
    return Model(config, params, chat, directory=directory, name=shown, frames=frames)


class Model:
    """A model that answers questions about videos and pictures.

    A video is a path or a `Clip` (what `fewvid.data.decode.decode_video` gives). The keywords are
    the same everywhere: frames (None: as many as the model was trained with; fewer where the file
    has fewer), keep K tokens a frame (None: the model's own; "auto": more where the clip changes
    more), sampler by name, seed for a random sampler and for a temperature above 0. What they
    cannot be raises UserError, as in the commands.
    """

    def __init__(
        self,
        config: LvlmConfig,
        params: lvlm.Params,
        chat: Chat,
        *,
        directory: Path | None = None,
        name: str = "",
        frames: int = 8,
        dtype: Any = jnp.float32,
    ) -> None:
        """dtype: what answers and selections are computed in; `forward` computes in float32."""
        self.config, self.chat, self.directory = config, chat, directory
        self.name, self.frames, self.dtype = name, frames, dtype
        self.params: lvlm.Params = jax.device_put(lvlm.unrolled(params))
        self.programs = Programs()

    @cached_property
    def tokenizer(self) -> Any:
        """The transformers tokenizer; importing transformers takes a second, so only when asked."""
        if self.directory is None:
            return self.chat.tokenizer
        return model_directory.load_tokenizer(self.directory)

    def answer(
        self,
        video: Video,
        question: str,
        *,
        frames: int | None = None,
        keep: checks.Keep = None,
        sampler: str | None = None,
        temperature: float = 0.0,
        max_tokens: int = 32,
        seed: int = 0,
    ) -> Answer:
        """One answer to one question."""
        checks.check_question(question)
        checks.check_answering(temperature, max_tokens, seed)
        talk = self.converse(video, frames=frames, keep=keep, sampler=sampler, seed=seed)
        return talk.ask(question, temperature=temperature, max_tokens=max_tokens, seed=seed)

    def stream(
        self,
        video: Video,
        question: str,
        *,
        frames: int | None = None,
        keep: checks.Keep = None,
        sampler: str | None = None,
        temperature: float = 0.0,
        max_tokens: int = 32,
        seed: int = 0,
    ) -> Generator[str, None, Answer]:
        """Yields the text of `answer` in pieces as it is generated; returns the Answer."""
        checks.check_question(question)
        checks.check_answering(temperature, max_tokens, seed)
        talk = self.converse(video, frames=frames, keep=keep, sampler=sampler, seed=seed)
        return (
            yield from talk.stream(
                question, temperature=temperature, max_tokens=max_tokens, seed=seed
            )
        )

    def converse(
        self,
        video: Video,
        *,
        question: str | None = None,
        frames: int | None = None,
        keep: checks.Keep = None,
        sampler: str | None = None,
        seed: int = 0,
    ) -> Conversation:
        """A conversation about one video, which is looked at once.

        question: what a sampler that chooses by it (`dpp_text`) chooses by, without its being
        asked; None: the first that is asked.
        """
        looked = {"frames": frames, "keep": keep, "sampler": sampler, "seed": seed}
        return Conversation(self.look(video, question=question, to_ask=True, **looked))

    def select(
        self,
        video: Video,
        *,
        question: str | None = None,
        frames: int | None = None,
        keep: checks.Keep = None,
        sampler: str | None = None,
        seed: int = 0,
    ) -> Selection:
        """Which tokens are kept, their scores, and the frames; `inference.overlay` draws it.

        question: what a sampler that chooses by it (`dpp_text`) chooses by.
        """
        looked = {"frames": frames, "keep": keep, "sampler": sampler, "seed": seed}
        return self.look(video, question=question, **looked).selection()

    def look(
        self,
        video: Video,
        *,
        question: str | None = None,
        frames: int | None = None,
        keep: checks.Keep = None,
        sampler: str | None = None,
        seed: int = 0,
        to_ask: bool = False,
    ) -> View:
        """The encoded clip, from which both a conversation and a selection can be had.

        to_ask: raises UserError at once where the decoder could not read so many frames, and not
        where the sampler chooses by the question and `question` is None: one will come.
        """
        checks.check_looking(self.config, frames, keep, sampler, seed)
        if not to_ask or question is not None:
            checks.check_asked(self.config, keep, sampler, question)
        clock = Clock()
        if not isinstance(video, Clip):
            from fewvid.data.decode import decode_video

            with clock.measure("decode"):
                asked = frames is not None
                video = decode_video(video, frames if asked else self.frames, asked=asked)
        if to_ask and keep != checks.AUTO:
            check_room(self.config, video, keep)
        view = View(self, video, keep, sampler, seed, question)
        if to_ask and keep == checks.AUTO:
            check_room(self.config, video, view.kept)
        view.clock.milliseconds["decode"] = clock.milliseconds["decode"]
        return view

    def forward(
        self, tokens: np.ndarray, pixels: np.ndarray | None, times: np.ndarray | None = None
    ) -> jax.Array:
        """Logits float32[B,L,V] of whole rows, plain causal, with the model's own sampler.

        tokens int[B,L], each frame's placeholders already expanded to one id (`chat.visual`) per
        visual token; pixels float or uint8 [B,T,H,W,3] in 0..255, H = W = the encoder's image
        size, or None; times float32[B,T] seconds, None for one frame a second.
        Raises UserError for ids, shapes or a number of placeholders that do not fit the model.
        """
        checks.check_rows(self.config, self.chat.visual, np.asarray(tokens), pixels, times)
        batch = {"tokens": jnp.asarray(tokens, jnp.int32)}
        if pixels is not None:
            frames = pixels.shape[1]
            batch["pixels"] = jnp.asarray(pixels)
            seconds = (
                np.broadcast_to(np.arange(frames), pixels.shape[:2]) if times is None else times
            )
            batch["times"] = jnp.asarray(seconds, jnp.float32)
        return _forward(self.params, batch, jnp.int32(self.chat.visual), config=self.config)


def _whole_rows(
    params: lvlm.Params, batch: dict[str, jax.Array], visual_id: jax.Array, *, config: LvlmConfig
) -> jax.Array:
    tokens = batch["tokens"]
    batch = batch | {"positions": jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape)}
    how: Any = {"rng": jax.random.key(0), "visual_id": visual_id, "packed": False}
    hidden, _ = lvlm.forward(config, params, batch, **how)
    logits: Any = lvlm.logits(config, params, hidden)
    return logits


_forward = jax.jit(_whole_rows, static_argnames=("config",))
