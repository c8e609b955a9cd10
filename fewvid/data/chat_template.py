"""The chat format of an imported model: its own template (jinja), as its tokenizer carries it.

    <s>USER: <image> ... <image> {question} ASSISTANT: {answer} </s>
    prefix_ids ----------------- question_ids -------- answer_ids ---

A clip is one video to a template that knows videos (`<video>`), and one picture to others; either
way its placeholder is repeated once a visual token. Templates are data of a model, not code of
ours: transformers renders them in jinja's sandbox.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fewvid.data.tokenizer import IMAGE, VIDEO, Chat
from fewvid.errors import UserError

PLACEHOLDERS = {"video": VIDEO, "image": IMAGE}  # type of a message's part -> what is written
ASKED, ANSWERED = "first words", "some words"  # that stand for others while a template is looked at


def chat_for(tokenizer: Any) -> Chat:
    """How a transformers tokenizer's model is talked to: by its template, if that shows anything.

    A template of text alone (a language model's) says nothing of pictures: then `Chat`.
    """
    shows = shown_by(tokenizer)
    return TemplateChat(tokenizer, shows) if shows else Chat(tokenizer)


def shown_by(tokenizer: Any) -> tuple[str, ...]:
    """Which of "video" and "image" the tokenizer's template has a place for."""
    if not tokenizer.chat_template:
        return ()
    vocab = tokenizer.get_vocab()
    return tuple(
        kind
        for kind, token in PLACEHOLDERS.items()
        if token in vocab and _rendered_or_not(tokenizer, kind).count(token) == 1
    )


class TemplateChat(Chat):
    """`Chat` in the words of a template; its placeholder of a clip may be another than `picture`.

    Special tokens written in a question are broken by a space, so that none can be asked for.
    """

    def __init__(self, tokenizer: Any, shows: Sequence[str]) -> None:
        """shows: what `shown_by` gives, one at least. Raises UserError as `Chat` does."""
        from tokenizers import Tokenizer

        super().__init__(tokenizer)
        self._video = shows[0]
        self._picture = "image" if "image" in shows else shows[0]
        self.visual = self._special(PLACEHOLDERS[self._video], None)
        self.picture = self._special(PLACEHOLDERS[self._picture], None)
        self._end = str(self._encoder.id_to_token(self.eos))
        self._marked = Tokenizer.from_str(self._encoder.to_str())  # that reads special tokens
        self._marked.encode_special_tokens = False
        added = self._encoder.get_added_tokens_decoder().values()
        self._specials = {token.content for token in added if token.special}
        self._specials |= set(PLACEHOLDERS.values())
        self._asked: dict[tuple[str, bool], tuple[int, ...]] = {}

    def prompt_ids(
        self,
        n_visual: int,
        turns: Sequence[tuple[str, str]],
        question: str,
        *,
        picture: bool = False,
    ) -> list[int]:
        """All of it, rendered and read in one piece, as the family's own processor does it."""
        questions = [*(asked for asked, _ in turns), question]
        messages = [self._first(questions[0], picture)]
        for (_, answer), asked in zip(turns, questions[1:], strict=True):
            messages += [_said("assistant", self._plain(answer)), _said("user", self._plain(asked))]
        ids = self._ids_of(self._render(messages))
        at = ids.index(self.picture if picture else self.visual)
        return [*ids[:at], *ids[at : at + 1] * n_visual, *ids[at + 1 :]]

    def prefix_ids(self, n_visual: int, system: str | None = None) -> tuple[int, ...]:
        """What stands before a question: up to the `n_visual` placeholders."""
        before = [] if system is None else [_said("system", self._plain(system))]
        ids = self._ids_of(self._render([*before, self._first(ASKED, False)]))
        return (*ids[: ids.index(self.visual)], *(self.visual,) * n_visual)

    def question_ids(self, question: str, first: bool = True) -> tuple[int, ...]:
        """What stands between the placeholders, or an answer, and the answer that comes next."""
        key = question, first
        if key not in self._asked:
            self._asked[key] = self._opening(question) if first else self._later(question)
        return self._asked[key]

    def prepare(self, questions: Iterable[str], answers: Iterable[str]) -> None:
        """Encodes answers in one go; questions are rendered one by one, when they are asked."""
        super().prepare((), answers)

    def _opening(self, question: str) -> tuple[int, ...]:
        ids = self._ids_of(self._render([self._first(question, False)]))
        return tuple(ids[ids.index(self.visual) + 1 :])

    def _later(self, question: str) -> tuple[int, ...]:
        turns = [self._first(ASKED, False), _said("assistant", ANSWERED)]
        text = self._render([*turns, _said("user", self._plain(question))])
        _, _, rest = text.partition(ANSWERED)
        # `answer_ids` has the end already, and a space before a word is the tokenizer's affair
        rest = rest.lstrip(" ").removeprefix(self._end)
        return tuple(self._marked.encode(rest, add_special_tokens=False).ids)

    def _first(self, question: str, picture: bool) -> dict[str, Any]:
        shown = {"type": self._picture if picture else self._video}
        return _said("user", self._plain(question), shown)

    def _render(self, messages: Sequence[dict[str, Any]]) -> str:
        try:
            return _rendered(self.tokenizer, messages)
        except Exception as error:  # a template raises what it likes
            raise UserError(f"the model's chat template cannot write this ({error})") from error

    def _ids_of(self, text: str) -> list[int]:
        bos = None if self.bos is None else self._encoder.id_to_token(self.bos)
        begun = bos is not None and text.startswith(bos)
        return self._marked.encode(text, add_special_tokens=not begun).ids

    def _plain(self, text: str) -> str:
        for token in self._specials:
            text = text.replace(token, f"{token[:1]} {token[1:]}")
        return text


def _said(role: str, text: str, *shown: dict[str, str]) -> dict[str, Any]:
    return {"role": role, "content": [*shown, {"type": "text", "text": text}]}


def _rendered(tokenizer: Any, messages: Sequence[dict[str, Any]]) -> str:
    return tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)


def _rendered_or_not(tokenizer: Any, kind: str) -> str:
    try:
        return _rendered(tokenizer, [_said("user", ASKED, {"type": kind})])
    except Exception:  # a template of text alone may raise anything at a list of parts
        return ""
