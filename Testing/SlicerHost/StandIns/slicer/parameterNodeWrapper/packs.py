"""Groups of parameters: classes whose members are typed, and can be members of a parameter node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_type_hints

from .annotations import Choice, Default, first, split


@dataclass
class Field:
    """One typed member."""

    declared: Any
    kind: Any
    default: Default

    def check(self, value: Any) -> None:
        """Raise ValueError or TypeError if the value will not do."""
        self.kind.check(value)


def fields_of(cls: type) -> dict[str, Field]:
    """The members of a class, by name."""
    # late: kinds know packs
    from .kinds import kind_of

    fields = {}
    for name, declared in get_type_hints(cls, include_extras=True).items():
        _, annotations = split(declared)
        kind = kind_of(declared)
        if hasattr(cls, name):
            default = Default(getattr(cls, name))
        else:
            default = first(annotations, Default)
            choice = first(annotations, Choice)
            if default is None:
                default = Default(choice.choices[0]) if choice is not None else Default(generator=kind.default)
        fields[name] = Field(declared, kind, default)
    return fields


def parameterPack(cls: type | None = None) -> Any:
    """Class decorator: typed members with a constructor, comparison, getValue and setValue."""
    return _make(cls) if cls is not None else _make


def isParameterPack(thing: Any) -> bool:
    """True for a class that parameterPack made, and for its objects."""
    return getattr(thing, "_is_parameter_pack", False)


def _make(cls: type) -> type:
    own_constructor = "__init__" in vars(cls)
    cls.allParameters = fields_of(cls)
    cls._is_parameter_pack = True
    for name in cls.allParameters:
        setattr(cls, name, _member(name))
    if not own_constructor:
        cls.__init__ = _construct
    cls.__eq__ = lambda self, other: type(self) is type(other) and _values(self) == _values(other)
    cls.__hash__ = None
    cls.__repr__ = lambda self: f"{type(self).__name__}({_values(self)})"
    cls.getValue = lambda self, path: _walk(self, path)
    cls.setValue = _set_by_path
    cls.dataType = classmethod(lambda kind, path: data_type(kind, path))
    return cls


def _construct(self: Any, *values: Any, **named: Any) -> None:
    names = list(self.allParameters)
    given = dict(zip(names, values, strict=False)) | named
    if len(values) > len(names) or not given.keys() <= set(names):
        raise TypeError(f"{type(self).__name__} has the members {names}")
    for name, field in self.allParameters.items():
        setattr(self, name, given[name] if name in given else field.default.value)


def _values(pack: Any) -> dict[str, Any]:
    return {name: getattr(pack, name) for name in pack.allParameters}


def _member(name: str) -> property:
    stored = f"_{name}_value"

    def read(self: Any) -> Any:
        return getattr(self, stored)

    def write(self: Any, value: Any) -> None:
        self.allParameters[name].check(value)
        self.__dict__[stored] = value
        changed = self.__dict__.get("_on_change")
        if isParameterPack(value) and changed is not None:
            observe(value, lambda member, new: changed(name, value))
        if changed is not None:
            changed(name, value)

    return property(read, write)


def observe(pack: Any, write: Callable[[str, Any], None]) -> Any:
    """Call write(member, value) whenever a member of the pack, at any depth, is set; return the pack."""
    pack.__dict__["_on_change"] = write
    for name in pack.allParameters:
        value = getattr(pack, name)
        if isParameterPack(value):
            observe(value, lambda member, new, name=name, value=value: write(name, value))
    return pack


def _walk(thing: Any, path: str) -> Any:
    for name in path.split("."):
        if name not in thing.allParameters:
            raise ValueError(f"{type(thing).__name__} has no parameter {name!r}")
        thing = getattr(thing, name)
    return thing


def _set_by_path(self: Any, path: str, value: Any) -> None:
    parent, _, name = path.rpartition(".")
    owner = _walk(self, parent) if parent else self
    if name not in owner.allParameters:
        raise ValueError(f"{type(owner).__name__} has no parameter {name!r}")
    setattr(owner, name, value)


def data_type(cls: type, path: str) -> Any:
    """Type of a member as it is written, annotations included; a path goes into packs."""
    name, _, rest = path.partition(".")
    if name not in cls.allParameters:
        raise ValueError(f"{cls.__name__} has no parameter {name!r}")
    declared = cls.allParameters[name].declared
    return data_type(split(declared)[0], rest) if rest else declared


class FloatRange:
    """A range of numbers."""

    def __init__(self, minimum: float = 0.0, maximum: float = 0.0) -> None:
        self._values = {"minimum": float(minimum), "maximum": float(maximum)}
        self._check(minimum, maximum)
        self._on_change: Callable[[FloatRange], None] = lambda changed: None

    @staticmethod
    def _check(minimum: float, maximum: float) -> None:
        if minimum > maximum:
            raise ValueError(f"a range cannot go from {minimum} to {maximum}")

    def _set(self, name: str, value: float) -> None:
        values = self._values | {name: float(value)}
        self._check(**values)
        self._values = values
        self._on_change(self)

    minimum = property(lambda self: self._values["minimum"], lambda self, value: self._set("minimum", value))
    maximum = property(lambda self: self._values["maximum"], lambda self, value: self._set("maximum", value))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FloatRange) and self._values == other._values

    __hash__ = None

    def __repr__(self) -> str:
        return f"FloatRange({self.minimum}, {self.maximum})"
