"""The definition of a study: everything that decides what a trial computes."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from objectives.membership import ATTACKS
from objectives.reference import MIN_RETRAININGS
from studies.defaults import SAMPLER, SamplerName
from unlearn.methods import METHODS, Choice, FloatRange, IntRange, Method, Range
from unlearn.requests import ClassRequest, ForgetRequest, IndexRequest, RandomRequest
from unlearn.training import Recipe

Fraction = Annotated[float, Field(gt=0, lt=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DataSection(_Strict):
    """Which data θ_o was trained on; see `unlearn.datasets.load`.

    Attributes:
        dir: where data sets are downloaded to; default: a folder in the user's cache.
    """

    name: str
    dir: str | None = None
    train_limit: Annotated[int, Field(ge=2)] | None = None
    test_limit: Annotated[int, Field(ge=4)] | None = None
    pixel_noise: Annotated[float, Field(ge=0, le=1)] = 0.0


class RandomSection(_Strict):
    """Forget a random fraction of the training data."""

    kind: Literal["random"]
    fraction: Fraction


class ClassSection(_Strict):
    """Forget a random fraction of one class, or all of it."""

    kind: Literal["class"]
    label: int | str
    fraction: Annotated[float, Field(gt=0, le=1)] = 1.0


class IndexSection(_Strict):
    """Forget the training samples whose positions a file lists."""

    kind: Literal["indices"]
    file: str


class RecipeSection(_Strict):
    """How θ_o, the retrained models and the proxies are trained; see `unlearn.training.Recipe`."""

    epochs: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0)]
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    batch_size: Annotated[int, Field(ge=2)] = 128
    schedule: Literal["constant", "cosine"] = "cosine"
    augment: bool = False


class ObjectivesSection(_Strict):
    """How trials are scored."""

    attack: str = "threshold"
    retrainings: Annotated[int, Field(ge=MIN_RETRAININGS)] = 5
    runtime: Literal["calibrated", "measured"] = "calibrated"

    @model_validator(mode="after")
    def _known_attack(self) -> "ObjectivesSection":
        if self.attack not in ATTACKS:
            raise ValueError(f"attack must be one of {', '.join(ATTACKS)}")
        return self


class RangeSection(_Strict):
    """The values that a search may give to one parameter."""

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: tuple[int | float | str | bool, ...] | None = Field(default=None, strict=False)

    @model_validator(mode="after")
    def _one_kind(self) -> "RangeSection":
        if (self.choices is None) == (self.low is None and self.high is None):
            raise ValueError("give either low and high, or choices")
        if self.choices is not None:
            if not self.choices or self.log:
                raise ValueError("choices must not be empty, and have no log")
            return self
        if self.low is None or self.high is None or self.low > self.high:
            raise ValueError("give low and high, with low <= high")
        if self.log and self.low <= 0:
            raise ValueError("low must be positive where log is true")
        return self


class Definition(_Strict):
    """A study, whole: two studies with equal definitions compute the same.

    Attributes:
        name: names the study in a storage, and the folder its pictures go to.
        seed: decides every draw: data subset, request, initialisations, orders, noise, trials.
        model: see `unlearn.models.ModelFactory`.
        model_dir: where the user's own models are looked for; default: the definition file's
            folder, or else the working directory.
        method: `name`, and values for config fields that differ from the method's defaults.
        space: ranges for config fields; what is missing has the method's own range, unless
            `method` fixes its value.
        sampler: how the search proposes parameters. Not part of the study's identity.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    data: DataSection
    model: str
    model_dir: str | None = None
    request: Annotated[RandomSection | ClassSection | IndexSection, Field(discriminator="kind")]
    recipe: RecipeSection
    method: dict[str, Any] = Field(default_factory=lambda: {"name": "conmu"})
    space: dict[str, RangeSection] = Field(default_factory=dict)
    objectives: ObjectivesSection = Field(default_factory=ObjectivesSection)
    sampler: SamplerName = SAMPLER

    @model_validator(mode="after")
    def _consistent(self) -> "Definition":
        if self.name.endswith(".toml"):
            raise ValueError(f"name {self.name!r} would be taken for a definition file")
        name = self.method.get("name")
        if not isinstance(name, str) or name not in METHODS:
            raise ValueError(f"method.name must be one of {', '.join(METHODS)}, not {name!r}")
        fields = METHODS[name].config.__dataclass_fields__
        for section, keys in (("method", self.fixed), ("space", self.space)):
            for key in keys:
                if key not in fields:
                    raise ValueError(
                        f"{section}.{key} is no parameter of {name}; it has {', '.join(fields)}"
                    )
        for key in self.fixed.keys() & self.space.keys():
            raise ValueError(f"{key} is fixed in method and searched in space; choose one")
        ranges = self.ranges
        if not ranges:
            raise ValueError("space leaves nothing to search")
        self._check_ends(ranges)
        if "delta" in fields and self.longest_delta() > self.recipe.epochs:
            raise ValueError(
                f"delta goes up to {self.longest_delta()}, beyond recipe.epochs"
                f" ({self.recipe.epochs}), which the proxy's schedule is made for"
            )
        return self

    def _check_ends(self, ranges: Mapping[str, Range]) -> None:
        """The config must accept the fixed values, and what the space may propose."""
        try:
            self.config({})
        except ValidationError as error:
            raise ValueError(describe_error(error, "method")) from None
        for key, span in ranges.items():
            for end in _ends(span):
                try:
                    self.config({key: end})
                except ValidationError as error:
                    reason = describe_error(error).removeprefix(f"{key}: ")
                    raise ValueError(f"space.{key} reaches {end}: {reason}") from None

    def longest_delta(self) -> int:
        """The most epochs that a proxy may be trained for; 0 for a method without proxies."""
        if "delta" in self.ranges:
            return int(max(_ends(self.ranges["delta"])))
        return int(getattr(self.config({}), "delta", 0))

    @property
    def fixed(self) -> dict[str, Any]:
        """Config fields that the definition gives one value."""
        return {key: value for key, value in self.method.items() if key != "name"}

    @property
    def unlearning(self) -> Method:
        """The method that is searched."""
        return METHODS[self.method["name"]]

    @property
    def ranges(self) -> dict[str, Range]:
        """What is searched: the range of every open parameter, in the order of the config."""
        chosen: dict[str, Range] = {}
        for key, field in self.unlearning.config.__dataclass_fields__.items():
            if key in self.space:
                chosen[key] = _range(self.space[key], whole=field.type in (int, "int"), key=key)
            elif key in self.unlearning.space and key not in self.fixed:
                chosen[key] = self.unlearning.space[key]
        return chosen

    def config(self, params: Mapping[str, Any]) -> Any:
        """The method's config with these parameters, the fixed values, and defaults for the rest.

        Raises:
            pydantic.ValidationError: a value has the wrong type or makes no sense.
        """
        adapter: TypeAdapter[Any] = TypeAdapter(self.unlearning.config)
        return adapter.validate_python({**self.fixed, **params})

    @property
    def training_recipe(self) -> Recipe:
        """The recipe as the training loop takes it."""
        return Recipe(**self.recipe.model_dump())

    @property
    def forget_request(self) -> ForgetRequest:
        """The request as `unlearn.requests.resolve` takes it."""
        section = self.request
        if isinstance(section, RandomSection):
            return RandomRequest(section.fraction)
        if isinstance(section, ClassSection):
            return ClassRequest(section.label, section.fraction)
        return IndexRequest(Path(section.file))

    def starting_points(self) -> list[dict[str, Any]]:
        """The method's known configurations for this kind of request that lie in the space; a
        parameter they don't speak of has its default."""
        ranges, defaults = self.ranges, self.config({})
        points: list[dict[str, Any]] = []
        kind = "class" if self.request.kind == "class" else "random"
        for point in self.unlearning.starting_points:
            values = {key: point.params.get(key, getattr(defaults, key)) for key in ranges}
            inside = all(values[key] in span for key, span in ranges.items())
            if point.request == kind and inside and values not in points:
                points.append(values)
        return points

    def identity(self) -> dict[str, Any]:
        """What two openings of one study must agree on, flat: dotted field -> value.

        Paths don't count, what they lead to does: the study keeps fingerprints of its data, of its
        request and of the user's own model. The space counts as it is resolved, defaults included.
        """
        content = self.model_dump(mode="json", exclude={"sampler", "space", "model_dir"})
        content["space"] = {key: repr(span) for key, span in self.ranges.items()}
        if content["data"]["name"].startswith("folder:"):
            content["data"]["name"] = "folder"
        del content["data"]["dir"]
        content["model"] = Path(self.model).name  # of FILE.py:FUNCTION
        content["request"].pop("file", None)
        if not self.recipe.augment:
            del content["recipe"]["augment"]  # as in studies from before it could be chosen
        return _flatten(content)


def _ends(span: Range) -> tuple[Any, ...]:
    return span.choices if isinstance(span, Choice) else (span.low, span.high)


def _range(section: RangeSection, *, whole: bool, key: str) -> Range:
    if section.choices is not None:
        return Choice(section.choices)
    low, high = section.low, section.high
    assert low is not None
    assert high is not None
    if not whole:
        return FloatRange(float(low), float(high), section.log)
    if not (isinstance(low, int) and isinstance(high, int)):
        raise ValueError(f"space.{key} takes whole numbers")
    return IntRange(low, high, section.log)


def _flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def describe_error(error: ValidationError, section: str = "") -> str:
    """The first mistake in one line, with the name of the field.

    Args:
        section: goes in front of the name.
    """
    first = error.errors()[0]
    kinds = ("random", "class", "indices")  # pydantic names the variant of a request too
    parts = [section, *(str(part) for part in first["loc"] if part not in kinds)]
    where = ".".join(part for part in parts if part)
    message = re.sub(r"\s+", " ", first["msg"].removeprefix("Value error, "))
    if first["type"] == "extra_forbidden":
        message = "no such field"
    return f"{where}: {message}" if where else message
