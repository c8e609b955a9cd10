"""Which sizes of a model cannot work, said with the key before a compiler says it with shapes."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from typing import Any

from fewvid.errors import UserError, closest
from fewvid.models.config import LvlmConfig, kept_tokens
from fewvid.samplers import SAMPLERS

# One size must be a multiple of another: they are split into so many equal parts.
MULTIPLES = (
    ("encoder.width", "encoder.heads"),
    ("decoder.heads", "decoder.kv_heads"),
)


def model_of(values: Mapping[str, Any], where: str) -> LvlmConfig:
    """Reads and checks the sizes of a model from nested dicts; `where` is their key.

    Raises UserError for a key that no part has or a value that cannot work.
    """
    for part, given in values.items():
        if not isinstance(given, Mapping):
            raise UserError(f"{where}.{part} is {given!r}, wanted keys and values")
    config = LvlmConfig.from_dict(dict(values))
    check_sizes(config, where)
    return config


def check_sizes(config: LvlmConfig, where: str) -> None:
    """Raises UserError for the first value of a model's config that cannot work."""
    for part in dataclasses.fields(config):
        of_part = getattr(config, part.name)
        for name, hint in typing.get_type_hints(type(of_part)).items():
            _check_value(hint, getattr(of_part, name), f"{where}.{part.name}.{name}")
    pairs = list(MULTIPLES)
    if config.adapter.queries not in (
        "mlp",
        "projector",
    ):  # which have no attention, and so no heads
        pairs.append(("adapter.width", "adapter.heads"))
    size, patch = config.encoder.image_size, config.encoder.patch_size
    if size < patch:
        raise UserError(
            f"{where}.encoder.image_size is {size}, must be at least patch_size={patch}"
        )
    for whole, part in pairs:
        size, of = _value(config, whole), _value(config, part)
        if size % of:
            raise UserError(f"{where}.{whole} is {size}, must be a multiple of {part}={of}")
    if config.decoder.head_dim % 2:  # rotary positions turn pairs
        raise UserError(f"{where}.decoder.head_dim is {config.decoder.head_dim}, must be even")
    if config.sampler.name not in SAMPLERS:
        got = config.sampler.name
        raise UserError(
            f"{where}.sampler.name is {got!r}, wanted one of {', '.join(SAMPLERS)}."
            f"{closest(got, SAMPLERS)}"
        )
    check_keep(config, config.sampler.keep, f"{where}.sampler.keep")


def check_keep(config: LvlmConfig, keep: int | None, where: str) -> None:
    """Raises UserError where K is not in 1..N of the tokens that the model's sampler sees."""
    all_of_them = dataclasses.replace(config.sampler, keep=None)
    seen = kept_tokens(dataclasses.replace(config, sampler=all_of_them))
    if keep is not None and not 1 <= keep <= seen:
        raise UserError(f"{where} is {keep}, must be 1 to {seen}, the tokens of a frame, or None")


def _check_value(hint: Any, value: Any, where: str) -> None:
    options = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal:
        if value not in options:
            known = ", ".join(map(repr, options))
            raise UserError(
                f"{where} is {value!r}, wanted one of {known}.{closest(str(value), options)}"
            )
    elif typing.get_origin(hint) is tuple and Ellipsis in options:
        if not isinstance(value, (tuple, list)):
            raise UserError(f"{where} is {value!r}, wanted a list")
        for at, part in enumerate(value):
            _check_value(options[0], part, f"{where}[{at}]")
    elif typing.get_origin(hint) is tuple:
        if not isinstance(value, (tuple, list)) or len(value) != len(options):
            raise UserError(f"{where} is {value!r}, wanted {len(options)} numbers")
        for option, part in zip(options, value, strict=True):
            _check_value(option, part, where)
    elif type(None) in options:
        if value is not None:
            _check_value(options[0], value, where)
    elif hint is float:
        if type(value) not in (int, float) or not 0 < value < math.inf:
            raise UserError(f"{where} is {value!r}, must be a number above 0")
    elif type(value) is not hint:
        raise UserError(f"{where} is {value!r}, wanted {hint.__name__}")
    elif hint is int and value < 1:
        raise UserError(f"{where} is {value}, must be at least 1")


def _value(config: LvlmConfig, key: str) -> int:
    part, name = key.split(".")
    return getattr(getattr(config, part), name)
