"""The definition of a study: everything that decides what a trial computes."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from objectives.membership import ATTACKS
from objectives.reference import MIN_RETRAININGS
from studies.mistakes import NO_FIELD, describe_error
from studies.names import DEFAULT_SAMPLER, SamplerName
from unlearn.errors import InputError
from unlearn.methods import METHODS, Choice, FloatRange, IntRange, Method, Range
from unlearn.precision import Precision
from unlearn.requests import ClassRequest, ForgetRequest, IndexRequest, RandomRequest
from unlearn.training import Recipe

Fraction = Annotated[float, Field(gt=0, lt=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_fields(cls, content: Any) -> Any:
        """First of all: a field that is misspelt is missing too."""
        for name in content if isinstance(content, Mapping) else ():
            if name not in cls.model_fields:
                raise PydanticCustomError(
                    NO_FIELD,
                    "no such field; there are {fields}",
                    {"name": str(name), "fields": ", ".join(cls.model_fields)},
                )
        return content


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


class NormalisationSection(_Strict):
    """What θ_o's images are normalised by in pixel space [0, 1], one value per channel."""

    mean: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(min_length=1, strict=False)
    std: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1, strict=False)

    @model_validator(mode="after")
    def _same_channels(self) -> "NormalisationSection":
        if len(self.mean) != len(self.std):
            raise ValueError("give as many values of mean as of std")
        return self


class RecipeSection(_Strict):
    """How θ_o (unless it is given), the retrained models and the proxies are trained; see
    `unlearn.training.Recipe`. The precision is also that of unlearning."""

    epochs: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0)]
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    batch_size: Annotated[int, Field(ge=2)] = 128
    schedule: Literal["constant", "cosine"] = "cosine"
    augment: bool = False
    precision: Precision = "auto"


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
        if max(-self.low, self.high) > sys.float_info.max:
            raise ValueError("low and high must be finite")
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
        original: a file with θ_o's weights, see `unlearn.checkpoint`; default: it is trained. The
            path is not part of the study's identity, the weights are.
        normalisation: default: what `original` says, or else the training data's own statistics.
        method: `name`, and values for config fields that differ from the method's defaults.
        space: ranges for config fields; what is missing has the method's own range, unless
            `method` fixes its value.
        first_trials: configurations that a search tries before the method's own starting points,
            as values of searched parameters; what is missing has its default. Not part of the
            study's identity.
        sampler: how the search proposes parameters. Not part of the study's identity.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    data: DataSection
    model: str
    model_dir: str | None = None
    original: str | None = None
    normalisation: NormalisationSection | None = None
    request: Annotated[RandomSection | ClassSection | IndexSection, Field(discriminator="kind")]
    recipe: RecipeSection
    method: dict[str, Any] = Field(default_factory=lambda: {"name": "conmu"})
    space: dict[str, RangeSection] = Field(default_factory=dict)
    first_trials: tuple[dict[str, Any], ...] = Field(default=(), strict=False)
    objectives: ObjectivesSection = Field(default_factory=ObjectivesSection)
    sampler: SamplerName = DEFAULT_SAMPLER

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
        self._check_first_trials(ranges)
        if self.longest_delta() > self.recipe.epochs:
            raise ValueError(
                f"delta goes up to {self.longest_delta()}, beyond"
                f" recipe.epochs ({self.recipe.epochs}), which the proxy's schedule is made for;"
                " raise these, or end space.delta there"
            )
        return self

    def _check_ends(self, ranges: Mapping[str, Range]) -> None:
        """The config must accept the fixed values, and what the space may propose."""
        try:
            config = self.config({})
        except ValidationError as error:
            raise ValueError(describe_error(error, "method")) from None
        for key, value in self.fixed.items():
            _refuse_conversion(f"method.{key}", value, getattr(config, key))
        for key, span in ranges.items():
            for end in _ends(span):
                try:
                    taken_for = getattr(self.config({key: end}), key)
                except ValidationError as error:
                    reason = describe_error(error).removeprefix(f"{key}: ")
                    raise ValueError(f"space.{key} reaches {end}: {reason}") from None
                _refuse_conversion(f"space.{key}", end, taken_for)

    def _check_first_trials(self, ranges: Mapping[str, Range]) -> None:
        for number, params in enumerate(self.first_trials):
            where = f"first_trials.{number}"
            for key in params:
                if key not in ranges:
                    raise ValueError(f"{where}.{key} is not searched; {', '.join(ranges)} are")
            try:
                values = self._completed(params)
            except ValidationError as error:
                raise ValueError(describe_error(error, where)) from None
            for key, value in params.items():
                _refuse_conversion(f"{where}.{key}", value, values[key])
            for key, span in ranges.items():
                if values[key] not in span:
                    raise ValueError(f"{where}.{key} is {values[key]}, outside of the space")

    def longest_delta(self) -> int:
        """The most epochs that a proxy may be trained for; 0 for a method without proxies."""
        if not self.unlearning.takes_precomputed:
            return 0
        if "delta" in self.ranges:
            return int(max(_ends(self.ranges["delta"])))
        return int(self.config({}).delta)

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
                chosen[key] = _range(self.space[key], whole=field.type is int, key=key)
            elif key in self.unlearning.space and key not in self.fixed:
                chosen[key] = self._by_itself(key)
        return chosen

    def _by_itself(self, key: str) -> Range:
        """The range of a parameter that the definition does not speak of."""
        span = self.unlearning.space[key]
        if key == "delta" and isinstance(span, IntRange):  # a proxy follows the recipe's schedule
            return replace(span, high=min(span.high, self.recipe.epochs))
        return span

    def config(self, params: Mapping[str, Any]) -> Any:
        """The method's config with these parameters, the fixed values, and defaults for the rest.

        Raises:
            pydantic.ValidationError: a value has the wrong type or makes no sense.
        """
        return config_of(self.unlearning, {**self.fixed, **params})

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
        """What a search tries first, if it lies in the space: `first_trials`, then the method's
        known configurations for this kind of request, or its defaults where it has none; a
        parameter that these don't speak of has its default.
        """
        kind = "class" if self.request.kind == "class" else "random"
        known = [each.params for each in self.unlearning.starting_points if each.request == kind]
        points: list[dict[str, Any]] = []
        for params in (*self.first_trials, *(known or [{}])):
            values = self._completed(params)
            inside = all(values[key] in span for key, span in self.ranges.items())
            if inside and values not in points:
                points.append(values)
        return points

    def _completed(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """A value for every searched parameter: the given one, or its default."""
        ranges = self.ranges
        config = self.config({key: value for key, value in params.items() if key in ranges})
        return {key: getattr(config, key) for key in ranges}

    def with_method(self, name: str) -> "Definition":
        """The same problem for another method to solve, searched in that method's own space.

        Of what is fixed, a pruning rate stays, if the method has one. The study is called
        `<name>-<method>`. For the method that the definition has already, it is the definition
        itself.

        Raises:
            InputError: there is no such method, or the study's name becomes too long.
        """
        if name == self.method["name"]:
            return self
        if name not in METHODS:
            raise InputError(f"no method is called {name!r}", f"use one of {', '.join(METHODS)}")
        fields = METHODS[name].config.__dataclass_fields__
        kept = {k: v for k, v in self.fixed.items() if k == "pruning_rate" and k in fields}
        content = self.model_dump(mode="json", exclude={"space", "first_trials"})
        content |= {"name": f"{self.name}-{name}", "method": {"name": name, **kept}}
        return validate(content, f"the study {self.name!r} with the method {name}")

    def with_data_dir(self, folder: Path | None) -> "Definition":
        """The same study with its downloads in another folder; None leaves them where they are."""
        if folder is None:
            return self
        data = self.data.model_copy(update={"dir": str(folder.absolute())})
        return self.model_copy(update={"data": data})

    def identity(self) -> dict[str, Any]:
        """What two openings of one study must agree on, flat: dotted field -> value.

        Paths don't count, what they lead to does: the study keeps fingerprints of its data, of its
        request, of the user's own model and of a given θ_o. The space counts as it is resolved,
        defaults included.
        """
        content = self.model_dump(
            mode="json", exclude={"sampler", "space", "first_trials", "model_dir", "original"}
        )
        content["space"] = {key: repr(span) for key, span in self.ranges.items()}
        if content["data"]["name"].startswith("folder:"):
            content["data"]["name"] = "folder"
        del content["data"]["dir"]
        content["model"] = Path(self.model).name  # of FILE.py:FUNCTION
        content["request"].pop("file", None)
        if not self.recipe.augment:
            del content["recipe"]["augment"]  # as in studies from before it could be chosen
        if self.normalisation is None:
            del content["normalisation"]
        return _flatten(content)


def config_of(method: Method, values: Mapping[str, Any]) -> Any:
    """A method's config with these values, and defaults for the rest.

    Raises:
        pydantic.ValidationError: a value has the wrong type or makes no sense.
    """
    return _adapter(method.name).validate_python(dict(values))


@cache
def _adapter(method: str) -> TypeAdapter[Any]:
    """To make one takes a hundred times as long as to use it."""
    return TypeAdapter(METHODS[method].config)


def _refuse_conversion(where: str, written: object, taken_for: object) -> None:
    """Of `"3"` and `true`, which pydantic takes for 3 and 1: the identity would keep them."""
    if taken_for != written or isinstance(written, bool) != isinstance(taken_for, bool):
        raise ValueError(f"{where}: write {taken_for!r}, and not {written!r}")


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


def validate(content: dict[str, Any], source: str) -> Definition:
    """A definition from its parsed content.

    Raises:
        InputError: naming `source` and the field that is wrong.
    """
    try:
        return Definition.model_validate(content)
    except ValidationError as error:
        raise InputError(
            f"{source}: {describe_error(error)}", "correct that field of the definition"
        ) from None
