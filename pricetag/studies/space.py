"""Search spaces: which fields of a job vary, and over which values."""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from pricetag.recipes.base import Params

Values = Mapping[str, Any]
"""The values of a trial, by the path of their field."""

MOST_POINTS = 100_000

FieldPath = Annotated[
    str,
    StringConstraints(
        max_length=300, pattern=r"^(recipe|resources)(\.[A-Za-z0-9_-]+)+$", strip_whitespace=True
    ),
]
"""Path of a field of the base job, as in ``recipe.stages.0.learning_rate``."""


class Condition(Params):
    """The value of another dimension on which a dimension depends."""

    field: FieldPath = Field(description="Path of another dimension, listed before.")
    values: Annotated[list[Any], Field(min_length=1, max_length=100)] = Field(
        description="Values of that dimension with which this one varies."
    )


class Dimension(Params, ABC):
    """One field that varies."""

    kind: str
    field: FieldPath = Field(
        description="Path of the field in the base job, e.g. recipe.stages.0.learning_rate."
    )
    when: Condition | None = Field(
        None, description="Vary only with some values of another dimension. Default: always."
    )

    @abstractmethod
    def draw(self, rng: random.Random) -> Any:
        """A random value."""

    @abstractmethod
    def grid(self, points: int | None) -> list[Any]:
        """The values of a grid; ``points`` limits those of a range.

        Raises:
            ValueError: If a range has no number of points.
        """

    @abstractmethod
    def ends(self) -> Iterator[tuple[str, Any]]:
        """The values that are checked before a study starts, by the option that has them."""


class Choice(Dimension):
    """One of some values."""

    kind: Literal["choice"] = Field(description="One of some values.")
    values: Annotated[list[Any], Field(min_length=1, max_length=1000)] = Field(
        description="The values."
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for place, value in enumerate(self.values):
            if any(_same(value, other) for other in self.values[:place]):
                raise PydanticCustomError(
                    "repeated", "is listed twice", {"field": f"values.{place}"}
                )
        return self

    def draw(self, rng: random.Random) -> Any:
        """One of the values, each as likely."""
        return self.values[int(rng.random() * len(self.values))]

    def grid(self, points: int | None) -> list[Any]:
        """All values."""
        return list(self.values)

    def ends(self) -> Iterator[tuple[str, Any]]:
        """All values."""
        for place, value in enumerate(self.values):
            yield f"values.{place}", value


class _Range(Dimension, ABC):
    low: float | int
    high: float | int

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise PydanticCustomError(
                "range",
                "must be greater than low, {low} (got {high})",
                {"field": "high", "low": self.low, "high": self.high},
            )
        return self

    @abstractmethod
    def at(self, share: float) -> Any:
        """The value at a share of the range, from 0 to 1."""

    def draw(self, rng: random.Random) -> Any:
        """A value of the range."""
        return self.at(rng.random())

    def grid(self, points: int | None) -> list[Any]:
        """Values at equal distances, both ends included."""
        if points is None:
            raise ValueError(f"a grid over {self.kind} needs a number of points")
        return list(dict.fromkeys(self.at(number / (points - 1)) for number in range(points)))

    def ends(self) -> Iterator[tuple[str, Any]]:
        """Both ends."""
        yield "low", self.low
        yield "high", self.high


class Uniform(_Range):
    """A number of a range, each as likely."""

    kind: Literal["uniform"] = Field(description="A number of a range, each as likely.")
    low: float = Field(description="Smallest value.")
    high: float = Field(description="Largest value.")

    def at(self, share: float) -> float:
        """The value at a share of the range."""
        return min(self.low + share * (self.high - self.low), self.high)


class LogUniform(_Range):
    """A number of a range whose logarithm is uniform."""

    kind: Literal["log_uniform"] = Field(
        description="A number of a range whose logarithm is uniform."
    )
    low: float = Field(gt=0, description="Smallest value, above 0.")
    high: float = Field(gt=0, description="Largest value.")

    def at(self, share: float) -> float:
        """The value at a share of the range of logarithms."""
        if share in (0.0, 1.0):
            return self.high if share else self.low
        low, high = math.log(self.low), math.log(self.high)
        return min(max(math.exp(low + share * (high - low)), self.low), self.high)


class Int(_Range):
    """A whole number of a range, each as likely."""

    kind: Literal["int"] = Field(description="A whole number of a range, each as likely.")
    low: int = Field(ge=-(2**53), le=2**53, description="Smallest value.")
    high: int = Field(ge=-(2**53), le=2**53, description="Largest value.")

    def at(self, share: float) -> int:
        """The whole number at a share of the range."""
        return min(self.low + math.floor(share * (self.high - self.low + 1)), self.high)

    def grid(self, points: int | None) -> list[Any]:
        """All whole numbers, or some at nearly equal distances."""
        count = self.high - self.low + 1
        if points is None or count <= points:
            return [self.low + step for step in range(min(count, MOST_POINTS + 1))]
        span = self.high - self.low
        return [self.low + round(number * span / (points - 1)) for number in range(points)]


AnyDimension = Annotated[Choice | Uniform | LogUniform | Int, Field(discriminator="kind")]


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def is_active(dimension: Dimension, values: Values) -> bool:
    """Whether a dimension varies beside the values of the dimensions before it."""
    when = dimension.when
    if when is None:
        return True
    if when.field not in values:
        return False
    return any(_same(values[when.field], value) for value in when.values)


def sample(space: Sequence[Dimension], rng: random.Random) -> dict[str, Any]:
    """Random values of the dimensions that vary together.

    A value is drawn for each dimension, so that one of them does not depend on the others.
    """
    values: dict[str, Any] = {}
    for dimension in space:
        value = dimension.draw(rng)
        if is_active(dimension, values):
            values[dimension.field] = value
    return values


def grid(space: Sequence[Dimension], points: int | None) -> Iterator[dict[str, Any]]:
    """All combinations, the last dimension varying first; conditions leave dimensions out.

    Raises:
        ValueError: If a range has no number of points.
    """
    if not space:
        yield {}
        return
    yield from _combinations(space, [dimension.grid(points) for dimension in space], {})


def _combinations(
    space: Sequence[Dimension], choices: Sequence[list[Any]], values: Values
) -> Iterator[dict[str, Any]]:
    if not space:
        yield dict(values)
        return
    first, rest = space[0], choices[1:]
    if not is_active(first, values):
        yield from _combinations(space[1:], rest, values)
        return
    for value in choices[0]:
        yield from _combinations(space[1:], rest, {**values, first.field: value})


class NoPlaceError(ValueError):
    """A job has no place for a field."""


def with_value(job: Any, path: str, value: Any) -> Any:
    """A job with another value of one field; missing objects on its path are added.

    A number becomes a text where the job has one, as in the arguments of a command.

    Raises:
        NoPlaceError: If the path leads through a list without that item, or through a value.
    """
    return _replaced(job, path.split("."), value)


def _replaced(place: Any, parts: Sequence[str], value: Any) -> Any:
    if not parts:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return str(value) if is_number and isinstance(place, str) else value
    name, rest = parts[0], parts[1:]
    if isinstance(place, Mapping) or place is None:
        fields = dict(place or {})
        return {**fields, name: _replaced(fields.get(name), rest, value)}
    if isinstance(place, list):
        if not (name.isdecimal() and int(name) < len(place)):
            raise NoPlaceError(f"the base job has no item {name} there (it has {len(place)})")
        index = int(name)
        return [*place[:index], _replaced(place[index], rest, value), *place[index + 1 :]]
    raise NoPlaceError(f"the base job has a value before '{name}', not an object")


def with_values(job: Any, values: Values) -> Any:
    """A job with the values of a trial."""
    for path, value in values.items():
        job = with_value(job, path, value)
    return job
