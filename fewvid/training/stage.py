"""What a run is: frozen dataclasses read from a config, every key of which must be known.

RunConfig -> stages: StageConfig -> sources: Source, optimizer: OptimizerConfig, lora: LoraConfig
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fewvid.data.mixtures import Source
from fewvid.errors import UserError, closest
from fewvid.training.limits import check_run

T = TypeVar("T")


@dataclass(frozen=True)
class OptimizerConfig:
    """How parameters follow their gradients: `name` is one of `limits.OPTIMIZERS`.

    learning_rate comes after a linear warmup; `schedule` follows it: cosine (to 0) or constant.
    scale: factors of the learning rate by part ("encoder", "adapter", "decoder"; 1 if not named).
    """

    learning_rate: float = 1e-3
    warmup: int = 0
    weight_decay: float = 0.0
    clip: float = 1.0
    schedule: str = "cosine"
    scale: dict[str, float] = field(default_factory=dict)
    name: str = "adamw"


@dataclass(frozen=True)
class LoraConfig:
    """LoRA (see `models.low_rank`): W + alpha / rank A B, of which A and B train. rank 0: none.

    targets: regexes over parameter paths. What they cover stays as it is, whatever `trainable`
    says, but for its kernels, each of which has an A and a B.
    """

    rank: int = 0
    alpha: float = 32.0
    targets: tuple[str, ...] = ("decoder/.*",)


@dataclass(frozen=True)
class StageConfig:
    """One stage. trainable: regexes over parameter paths (see `training.trainable`).

    sources: a manifest each, a path or `shapes:train/images.json` of the run's world.
    frames: T of a batch; an image is a video of one frame. keep: K, or several of which each step
    draws one (see `training.keeps`; None: the model's). sampler: a name (None: the model's).
    questions: at most so many a row, in `length` tokens of which `answers` are predicted.
    accumulate: how many equal parts of the batch a step takes one after the other, so that it
    holds the activations of one part alone; its gradient is that of the whole batch.
    cache_features: encode every file once, where the encoder is frozen.
    resident: keep the whole data on the device (see `data.resident`), where it is small enough.
    max_bad_fraction: how many of its media files may be unreadable (see `data.media.BadSamples`).
    spike: a gradient norm above so many times the running mean is skipped (0: none is), as a loss
    that is no number always is; max_skipped: so many in a row end the run (see `training.guard`).
    """

    name: str
    trainable: tuple[str, ...]
    sources: tuple[Source, ...]
    steps: int
    batch_size: int
    length: int
    answers: int
    frames: int = 8
    questions: int = 1
    keep: int | tuple[int, ...] | None = None
    sampler: str | None = None
    optimizer: OptimizerConfig = OptimizerConfig()
    lora: LoraConfig = LoraConfig()
    accumulate: int = 1
    cache_features: bool = False
    resident: bool = False
    max_bad_fraction: float = 0.05
    checkpoint_every: int = 100
    spike: float = 0.0
    max_skipped: int = 5


@dataclass(frozen=True)
class MeshConfig:
    """Sizes of the mesh's axes; -1 is what the others leave. slice: of TPUs joined by DCN, or
    groups of GPU hosts; the other sizes are those of one slice.
    """

    data: int = -1
    fsdp: int = 1
    tensor: int = 1
    slice: int = 1


@dataclass(frozen=True)
class WorldConfig:
    """The miniature world that `shapes:` manifests name; path "" is {workdir}/data."""

    clips: int = 2000
    images: int = 5000
    seed: int = 0
    things: int = 2
    albums: int = 0
    path: str = ""


@dataclass(frozen=True)
class RunConfig:
    """A whole run. Give `model` (sizes, random start) or `init_from` (a model), never both.

    expects: the sizes that the model of `init_from` must have, of use while it is not there yet.
    compute_dtype: of activations and of the products' inputs, of COMPUTE_DTYPES; what trains, its
    gradients and its moments are float32 under either. remat: what of a layer is worked out again
    on the way back, one of `models.remat.NAMES`.
    """

    stages: tuple[StageConfig, ...]
    seed: int = 0
    compute_dtype: str = "float32"
    remat: str = "none"
    init_from: str = ""
    model: dict[str, Any] = field(default_factory=dict)
    expects: dict[str, Any] = field(default_factory=dict)
    mesh: MeshConfig = MeshConfig()
    world: WorldConfig = WorldConfig()

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dicts and tuples, ready for JSON."""
        return dataclasses.asdict(self)


def parse(values: Any) -> RunConfig:
    """Reads a run from an ml_collections ConfigDict, or nested dicts, with defaults filled in.

    Raises UserError for an unknown or missing key, a wrong type, or values that cannot work.
    """
    run = build(RunConfig, plain(values), "config")
    check_run(run)
    return run


def plain(values: Any) -> Any:
    """ConfigDicts and lists, at any depth, to dicts and tuples."""
    if hasattr(values, "items"):
        return {key: plain(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return tuple(plain(value) for value in values)
    return values


def build(kind: type[T], values: Any, where: str) -> T:
    """A dataclass from nested dicts, every key of which must be a field; `where` names it.

    Raises UserError for an unknown or missing key, or a wrong type.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{where} is {values!r}, wanted keys and values")
    fields = {f.name: f for f in dataclasses.fields(typing.cast(Any, kind))}
    hints = typing.get_type_hints(kind)
    for key in values:
        if key not in fields:
            raise UserError(
                f"unknown key {where}.{key}; known: {', '.join(fields)}.{closest(key, fields)}"
            )
    missing = [
        name
        for name, f in fields.items()
        if f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
        and name not in values
    ]
    if missing:
        raise UserError(f"{where} lacks {', '.join(missing)}")
    return kind(**{key: _cast(hints[key], v, f"{where}.{key}") for key, v in values.items()})


def _cast(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return build(typing.cast(type, hint), value, where)
    options = [option for option in typing.get_args(hint) if option is not type(None)]
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, tuple):
            raise UserError(f"{where} is {value!r}, wanted a tuple")
        return tuple(_cast(options[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if typing.get_origin(hint) is dict:
        return dict(value)
    if options:  # a union, such as int | None
        if any(type(value) is option for option in typing.get_args(hint)):
            return value
        tuples = [option for option in options if typing.get_origin(option) is tuple]
        if tuples and isinstance(value, tuple):
            return _cast(tuples[0], value, where)
        hint = next(option for option in reversed(options) if option not in tuples)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise UserError(f"{where} is {value!r}, wanted {hint.__name__}")
    return value


def differences(old: Any, new: Any, where: str = "config") -> list[str]:
    """Where two plain configs differ, as "config.seed: 0 -> 1" lines, in order of keys."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        lines = []
        for key in dict.fromkeys([*old, *new]):
            name = f"{where}.{key}"
            lines += differences(old.get(key, "(absent)"), new.get(key, "(absent)"), name)
        return lines
    if isinstance(old, list | tuple) and isinstance(new, list | tuple) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, f"{where}[{i}]")]
    return [] if old == new else [f"{where}: {old!r} -> {new!r}"]
