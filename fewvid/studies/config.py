"""What a study is: frozen dataclasses read from a config under configs/studies.

StudyConfig -> scale: ScaleConfig (how large), exams: ExamConfig (what is asked),
               cells: CellConfig (what is trained, each a change of the scale's defaults)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from fewvid.data.shapes.limits import check_variant
from fewvid.data.shapes.questions import CHANCE
from fewvid.data.shapes.variant import Variant
from fewvid.data.shapes.world import World
from fewvid.errors import UserError, closest
from fewvid.models.config import LvlmConfig
from fewvid.samplers import SAMPLERS
from fewvid.studies.strategies import STRATEGIES
from fewvid.training import stage
from fewvid.training.sizes import model_of

KINDS = ("mixed", "temporal", "static")
MEASURES = ("costs", "coverage", "dropped", "identity", "locality")
MEDIA = ("video", "image")


@dataclass(frozen=True)
class ScaleConfig:
    """How large the experiments are, and the recipe that all cells share.

    model: sizes of the image model that all cells start from (see `studies.base`). start: a model,
    packaged or in a directory, that it is made from: as it is where base_steps is 0. It may have
    patches twice as large as `model` (`models.patches`). Where it is "", parameters are random.
    base_*: how the image model is trained: on base_pictures pictures, for base_steps steps of
    base_batch rows at base_rate, with K drawn from base_keep and chosen by base_sampler: such as
    favour none of those that are compared.
    clips: 100 % of the videos; the seed decides from where on a cell takes its share of them.
    pictures: those that train together with clips. test: how many clips, and as many pictures, an
    exam asks about. batch_clips and batch_pictures: rows of a step; questions: of a row. rate: the
    learning rate, and decoder_rate and encoder_rate what theirs are of it.
    together: how many runs train at once. temporal_weight: how much likelier than a static
    question a temporal one is drawn, where the kind of the questions is mixed. quick: programs
    compile in half the time and run slower, for runs of seconds.
    """

    model: dict[str, Any]
    clips: int
    pictures: int
    test: int
    steps: int
    batch_clips: int
    batch_pictures: int
    questions: int
    rate: float
    decoder_rate: float
    warmup: int
    weight_decay: float
    together: int
    temporal_weight: float = 3.0
    start: str = ""
    base_pictures: int = 0
    base_steps: int = 0
    base_batch: int = 0
    base_rate: float = 0.0
    base_keep: tuple[int, ...] = ()
    base_sampler: str = "random"
    encoder_rate: float = 0.1
    dtype: str = "float32"
    quick: bool = False


@dataclass(frozen=True)
class CellConfig:
    """One experiment: a training, repeated for every seed, and the exams that it sits.

    keep: K of each frame in training and exams, or in exams alone where `train_keep` says what it
    was in training (several: drawn at each step). clips: how many are trained on. kind: of the
    questions about them. without: dimensions that are never trained on. variant: of the world.
    frames: T, chosen evenly from the variant's. adapter, sampling: changes of AdapterConfig and
    SamplerConfig. steps: 0 for the scale's. of: trains nothing but takes the parameters of that
    cell, and applies its own keep and sampler to them.
    """

    name: str
    keep: int
    clips: int
    sampler: str = "attention"
    strategy: str = "s3_iv"
    train_keep: tuple[int, ...] = ()
    kind: str = "mixed"
    without: tuple[str, ...] = ()
    variant: dict[str, Any] = field(default_factory=dict)
    frames: int = 8
    adapter: dict[str, Any] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=dict)
    steps: int = 0
    of: str = ""
    exams: tuple[str, ...] = ("clips", "pictures")


@dataclass(frozen=True)
class ExamConfig:
    """What is asked: all questions about the first clips (or pictures) of the world's test split.

    variant: of the world; None for the cell's own. one_frame: every frame is the clip's middle one.
    frames: T, 0 for the cell's.
    """

    name: str
    medium: str = "video"
    variant: dict[str, Any] = field(default_factory=dict)
    one_frame: bool = False
    frames: int = 0


@dataclass(frozen=True)
class StudyConfig:
    """A study. seeds: how often each cell is trained. measure: what else, names of MEASURES."""

    study: str
    size: str
    seeds: int
    scale: ScaleConfig
    cells: tuple[CellConfig, ...]
    exams: tuple[ExamConfig, ...]
    measure: tuple[str, ...] = ()

    def cell(self, name: str) -> CellConfig:
        """The cell of that name."""
        return next(cell for cell in self.cells if cell.name == name)

    def exam(self, name: str) -> ExamConfig:
        """The exam of that name."""
        return next(exam for exam in self.exams if exam.name == name)


def parse(values: Any) -> StudyConfig:
    """Reads a study from a ConfigDict or nested dicts, with defaults filled in.

    Raises UserError for an unknown key or name, a wrong type, or values that cannot work.
    """
    study = stage.build(StudyConfig, stage.plain(values), "config")
    check(study)
    return study


def check(study: StudyConfig) -> None:
    """Raises UserError for the first value that cannot work, with its key."""
    model = model_of(study.scale.model, "config.scale.model")
    if study.seeds < 1:
        raise UserError(f"config.seeds must be at least 1, got {study.seeds}")
    for kind, named in (("cells", study.cells), ("exams", study.exams)):
        names = [one.name for one in named]
        if len(set(names)) < len(names) or not names:
            raise UserError(f"config.{kind} needs names, each once, got {names}")
    for name in study.measure:
        _known("config.measure", name, MEASURES)
    for name, value in vars(study.scale).items():
        optional = ("warmup", "weight_decay", "batch_pictures")
        made = study.scale.base_steps or not study.scale.start
        least = 0 if name in optional or (name.startswith("base_") and not made) else 1e-12
        if isinstance(value, int | float) and not isinstance(value, bool) and value < least:
            raise UserError(f"config.scale.{name} is too small: {value}")
    for index, cell in enumerate(study.cells):
        _check_cell(study, cell, model, f"config.cells[{index}]")
    _known("config.scale.base_sampler", study.scale.base_sampler, SAMPLERS)
    for index, exam in enumerate(study.exams):
        where = f"config.exams[{index}]"
        _known(f"{where}.medium", exam.medium, MEDIA)
        if exam.frames < 0:
            raise UserError(f"{where}.frames must be 0 (the cell's) or more, got {exam.frames}")
        _check_variant(exam.variant, f"{where}.variant")


def _check_cell(study: StudyConfig, cell: CellConfig, model: LvlmConfig, where: str) -> None:
    for key, known in (
        ("sampler", SAMPLERS),
        ("strategy", STRATEGIES),
        ("kind", KINDS),
    ):
        _known(f"{where}.{key}", getattr(cell, key), known)
    for name in cell.without:
        _known(f"{where}.without", name, CHANCE)
    for name in cell.exams:
        _known(f"{where}.exams", name, [exam.name for exam in study.exams])
    for keep in (cell.keep, *cell.train_keep):
        if not 1 <= keep <= model.encoder.tokens:
            raise UserError(f"{where}: keep must be 1 to {model.encoder.tokens}, got {keep}")
    for key, least in (("frames", 1), ("clips", 0), ("steps", 0)):
        if getattr(cell, key) < least:
            raise UserError(f"{where}.{key} must be at least {least}, got {getattr(cell, key)}")
    if cell.of:
        _known(f"{where}.of", cell.of, [other.name for other in study.cells if not other.of])
    _check_variant(cell.variant, f"{where}.variant")
    parts = dict(study.scale.model)
    for key, part in (("adapter", "adapter"), ("sampling", "sampler")):
        parts[part] = {**parts.get(part, {}), **getattr(cell, key)}
    model_of(parts, where)


def _check_variant(values: Mapping[str, Any], where: str) -> None:
    known = [f.name for f in fields(Variant)]
    for key in values:
        _known(where, key, known)
    try:
        check_variant(Variant(**values), World.things)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _known(where: str, name: str, known: Any) -> None:
    if name not in known:
        raise UserError(
            f"{where} is {name!r}, wanted one of {', '.join(known)}.{closest(name, known)}"
        )
