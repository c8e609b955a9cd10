"""LLaVA conversations: a list of {"from", "value"} messages into turns of question and answer."""

from __future__ import annotations

import re
from typing import Any

from fewvid.data.sample import Turn
from fewvid.errors import UserError, closest

ROLES = {
    "human": "question",
    "user": "question",
    "gpt": "answer",
    "assistant": "answer",
    "system": "system",
}
_MARKERS = re.compile(r"\s*<(?:image|video)>\s*")


def strip_markers(text: str) -> str:
    """Takes `<image>` and `<video>` out, wherever they stand: the pipeline places the frames."""
    return _MARKERS.sub(" ", text).strip()


def read_conversation(messages: Any, where: str) -> tuple[str | None, tuple[Turn, ...]]:
    """Returns (system text or None, turns). `where` names file and record in errors.

    Raises UserError for a message without role or text, an unknown role, a question without an
    answer, an answer without a question, and for no question at all.
    """
    if not isinstance(messages, list) or not messages:
        raise UserError(
            f"{where}: key 'conversations' must be a list of messages, got {messages!r:.60}"
        )
    system: str | None = None
    turns: list[Turn] = []
    question: str | None = None
    for number, message in enumerate(messages):
        part, text = _message(message, f"{where}: conversations[{number}]")
        if part == "system":
            system = text if system is None else f"{system}\n{text}"
        elif part == "question":
            if question is not None:
                raise UserError(f"{where}: conversations[{number}] is a second question in a row")
            question = strip_markers(text)
        else:
            if question is None:
                raise UserError(f"{where}: conversations[{number}] answers no question")
            turns.append(Turn(question, text.strip()))
            question = None
    if question is not None or not turns:
        raise UserError(f"{where}: key 'conversations' ends without an answer (from 'gpt')")
    return system, tuple(turns)


def _message(message: Any, where: str) -> tuple[str, str]:
    if not isinstance(message, dict):
        raise UserError(f"{where} must be an object with 'from' and 'value', got {message!r:.60}")
    for key in ("from", "value"):
        if not isinstance(message.get(key), str):
            raise UserError(f"{where}: key {key!r} must be text, got {message.get(key)!r:.60}")
    role = message["from"]
    if role not in ROLES:
        raise UserError(
            f"{where}: unknown 'from' {role!r}; known: {', '.join(ROLES)}.{closest(role, ROLES)}"
        )
    return ROLES[role], message["value"]
