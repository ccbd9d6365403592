"""What can stand in Annotated[type, ...]: defaults, limits, hints for widgets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin


class Default:
    """The value of a parameter that was not set; a generator makes a new one each time."""

    def __init__(self, value: Any = None, *, generator: Callable[[], Any] | None = None) -> None:
        self._value, self._generator = value, generator

    @property
    def value(self) -> Any:
        return self._generator() if self._generator is not None else self._value


class Validator(ABC):
    """A condition on a value."""

    @abstractmethod
    def validate(self, value: Any) -> None:
        """Raise ValueError or TypeError if the value will not do."""


class NotNone(Validator):
    """Refuses None."""

    def validate(self, value: Any) -> None:
        if value is None:
            raise ValueError("the value must not be None")


@dataclass(eq=False)
class IsInstance(Validator):
    """Refuses other types; None passes."""

    classtype: type | tuple[type, ...]

    def validate(self, value: Any) -> None:
        if value is not None and not isinstance(value, self.classtype):
            raise TypeError(f"the value must be of {self.classtype}, not {value!r}")


@dataclass(eq=False)
class WithinRange(Validator):
    """Both ends belong to the range."""

    minimum: float
    maximum: float

    def validate(self, value: float) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"the value must be from {self.minimum} to {self.maximum}, not {value}")


@dataclass(eq=False)
class Minimum(Validator):
    """The least value."""

    minimum: float

    def validate(self, value: float) -> None:
        if value < self.minimum:
            raise ValueError(f"the value must be {self.minimum} or more, not {value}")


@dataclass(eq=False)
class Maximum(Validator):
    """The greatest value."""

    maximum: float

    def validate(self, value: float) -> None:
        if value > self.maximum:
            raise ValueError(f"the value must be {self.maximum} or less, not {value}")


@dataclass(eq=False)
class Choice(Validator):
    """The only values there are."""

    choices: list

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"the value must be one of {self.choices}, not {value!r}")


@dataclass(eq=False)
class Exclude(Validator):
    """Values that are not allowed."""

    excludedValues: list

    def validate(self, value: Any) -> None:
        if value in self.excludedValues:
            raise ValueError(f"the value must be none of {self.excludedValues}")


@dataclass(eq=False)
class RangeBounds(Validator):
    """Limits of both ends of a FloatRange."""

    minimum: float
    maximum: float

    def validate(self, value: Any) -> None:
        if value.minimum < self.minimum or value.maximum > self.maximum:
            raise ValueError(f"the range must lie in {self.minimum} to {self.maximum}, not {value}")


@dataclass(eq=False)
class Decimals:
    """Digits that a spin box shows after the point."""

    value: int


@dataclass(eq=False)
class SingleStep:
    """Step of a spin box or slider."""

    value: float


HINTS = (Decimals, SingleStep)


def split(annotated: Any) -> tuple[Any, list]:
    """Type and annotations of `Annotated[type, ...]`, or of a bare type."""
    if get_origin(annotated) is not Annotated:
        return annotated, []
    kind, *annotations = get_args(annotated)
    # a validator may be named without parentheses
    made = [item() if isinstance(item, type) and issubclass(item, Validator) else item for item in annotations]
    unknown = [item for item in made if not isinstance(item, (Default, Validator, *HINTS))]
    if unknown:
        raise TypeError(f"annotations that mean nothing here: {unknown}")
    return kind, made


def first(annotations: list, kind: type) -> Any:
    """The first annotation of a kind, None if there is none."""
    return next((item for item in annotations if isinstance(item, kind)), None)
