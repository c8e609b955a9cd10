"""What a config of transformers says that our parts cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fewvid.errors import UserError, closest


def refuse_other(hf: Any, key: str, known: Sequence[Any]) -> Any:
    """Returns the value of a config's key. Raises UserError where it is none of `known`."""
    value = getattr(hf, key)
    if value not in known:
        raise UserError(
            f"{key} of this {hf.model_type} is {value!r}, and fewvid has "
            f"{', '.join(map(repr, known))}.{closest(str(value), map(str, known))}"
        )
    return value
