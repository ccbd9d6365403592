"""How values of each type are kept in a parameter node: as text parameters and node references."""

from __future__ import annotations

import enum
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, MutableMapping, MutableSequence
from pathlib import PurePath
from typing import Any, Union, get_args, get_origin

import slicer

from . import packs
from .annotations import IsInstance, NotNone, Validator, split

Node = slicer.vtkMRMLScriptedModuleNode


class Kind(ABC):
    """Keeps values of one type under a name."""

    validators: tuple[Validator, ...] = ()

    def is_in(self, node: Node, name: str) -> bool:
        return bool(node.HasParameter(name))

    @abstractmethod
    def default(self) -> Any:
        """The value where none was given."""

    @abstractmethod
    def write(self, node: Node, name: str, value: Any) -> None:
        """Keep a value."""

    @abstractmethod
    def read(self, node: Node, name: str) -> Any:
        """The value kept."""

    def check(self, value: Any) -> None:
        """Raise ValueError or TypeError if the value will not do."""
        for validator in self.validators:
            validator.validate(value)


class Text(Kind):
    """Types that a text tells: numbers, strings, paths, truth values."""

    def __init__(self, accepted: type | tuple[type, ...], empty: Any, parse: Callable[[str], Any]) -> None:
        self.validators = (NotNone(), IsInstance(accepted))
        self._empty, self._parse = empty, parse

    def default(self) -> Any:
        return self._empty

    def write(self, node: Node, name: str, value: Any) -> None:
        node.SetParameter(name, str(value))

    def read(self, node: Node, name: str) -> Any:
        return self._parse(node.GetParameter(name))


class Member(Kind):
    """A member of an enumeration, by its name."""

    def __init__(self, kind: type[enum.Enum]) -> None:
        self.validators = (NotNone(), IsInstance(kind))
        self._kind = kind

    def default(self) -> enum.Enum:
        return next(iter(self._kind))

    def write(self, node: Node, name: str, value: enum.Enum) -> None:
        node.SetParameter(name, value.name)

    def read(self, node: Node, name: str) -> enum.Enum:
        return self._kind[node.GetParameter(name)]


class Reference(Kind):
    """A node of the scene, or None."""

    def __init__(self, accepted: tuple[type, ...]) -> None:
        self.validators = (IsInstance(accepted),)

    def default(self) -> None:
        return None

    def write(self, node: Node, name: str, value: slicer.vtkMRMLNode | None) -> None:
        # the parameter tells that the reference was set, which a reference to no node does not
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)

    def read(self, node: Node, name: str) -> slicer.vtkMRMLNode | None:
        return node.GetNodeReference(name)


class Optional(Kind):
    """None, or a value of another kind."""

    def __init__(self, inner: Kind) -> None:
        self._inner = inner

    def default(self) -> None:
        return None

    def check(self, value: Any) -> None:
        if value is not None:
            self._inner.check(value)

    def write(self, node: Node, name: str, value: Any) -> None:
        node.SetParameter(name, "" if value is None else "value")
        if value is not None:
            self._inner.write(node, f"{name}.value", value)

    def read(self, node: Node, name: str) -> Any:
        return self._inner.read(node, f"{name}.value") if node.GetParameter(name) else None


class Sequence(Kind):
    """A list, or a tuple of any length, of one kind."""

    def __init__(self, accepted: type, inner: Kind) -> None:
        self.validators = (NotNone(), IsInstance((accepted, ObservedList)))
        self._accepted, self._inner = accepted, inner

    def default(self) -> Any:
        return self._accepted()

    def check(self, value: Any) -> None:
        super().check(value)
        for item in value:
            self._inner.check(item)

    def write(self, node: Node, name: str, value: Any) -> None:
        items = list(value)
        node.SetParameter(name, str(len(items)))
        for index, item in enumerate(items):
            self._inner.write(node, f"{name}.{index}", item)

    def read(self, node: Node, name: str) -> Any:
        items = [self._inner.read(node, f"{name}.{index}") for index in range(int(node.GetParameter(name)))]
        return tuple(items) if self._accepted is tuple else ObservedList(items, self._writer(node, name))

    def _writer(self, node: Node, name: str) -> Callable[[list], list]:
        def write(value: list) -> list:
            self.check(value)
            with slicer.util.NodeModify(node):
                self.write(node, name, value)
            return self.read(node, name)._items

        return write


class Fixed(Kind):
    """A tuple of so many values, each of its own kind."""

    def __init__(self, inner: list[Kind]) -> None:
        self.validators = (NotNone(), IsInstance(tuple))
        self._inner = inner

    def default(self) -> tuple:
        return tuple(kind.default() for kind in self._inner)

    def check(self, value: Any) -> None:
        super().check(value)
        if len(value) != len(self._inner):
            raise ValueError(f"the tuple must have {len(self._inner)} values, not {len(value)}")
        for kind, item in zip(self._inner, value, strict=True):
            kind.check(item)

    def write(self, node: Node, name: str, value: tuple) -> None:
        node.SetParameter(name, "")
        for index, (kind, item) in enumerate(zip(self._inner, value, strict=True)):
            kind.write(node, f"{name}.{index}", item)

    def read(self, node: Node, name: str) -> tuple:
        return tuple(kind.read(node, f"{name}.{index}") for index, kind in enumerate(self._inner))


class Checked(Kind):
    """Another kind, with more conditions on its values."""

    def __init__(self, inner: Kind, validators: list[Validator]) -> None:
        self._inner, self._more = inner, validators

    def default(self) -> Any:
        return self._inner.default()

    def check(self, value: Any) -> None:
        self._inner.check(value)
        for validator in self._more:
            validator.validate(value)

    def write(self, node: Node, name: str, value: Any) -> None:
        self._inner.write(node, name, value)

    def read(self, node: Node, name: str) -> Any:
        return self._inner.read(node, name)


class Mapping(Kind):
    """A dictionary, kept as the lists of its keys and of its values."""

    def __init__(self, keys: Kind, values: Kind) -> None:
        self.validators = (NotNone(), IsInstance((dict, ObservedDict)))
        self._keys, self._values = Sequence(list, keys), Sequence(list, values)

    def default(self) -> dict:
        return {}

    def check(self, value: Any) -> None:
        super().check(value)
        self._keys.check(list(value))
        self._values.check(list(value.values()))

    def write(self, node: Node, name: str, value: Any) -> None:
        node.SetParameter(name, "")
        self._keys.write(node, f"{name}.keys", list(value))
        self._values.write(node, f"{name}.values", list(value.values()))

    def read(self, node: Node, name: str) -> ObservedDict:
        def write(value: dict) -> dict:
            self.check(value)
            with slicer.util.NodeModify(node):
                self.write(node, name, value)
            return self.read(node, name)._items

        keys, values = self._keys.read(node, f"{name}.keys"), self._values.read(node, f"{name}.values")
        return ObservedDict(dict(zip(keys, values, strict=True)), write)


class Range(Kind):
    """A FloatRange."""

    validators = (NotNone(), IsInstance(packs.FloatRange))

    def default(self) -> packs.FloatRange:
        return packs.FloatRange()

    def write(self, node: Node, name: str, value: packs.FloatRange) -> None:
        node.SetParameter(name, f"{value.minimum} {value.maximum}")

    def read(self, node: Node, name: str) -> packs.FloatRange:
        found = packs.FloatRange(*map(float, node.GetParameter(name).split()))
        found._on_change = lambda changed: self.write(node, name, changed)
        return found


class Pack(Kind):
    """A parameterPack, member by member."""

    def __init__(self, kind: type) -> None:
        self.validators = (NotNone(), IsInstance(kind))
        self._kind = kind

    def default(self) -> Any:
        return self._kind()

    def write(self, node: Node, name: str, value: Any) -> None:
        node.SetParameter(name, "")
        for member, field in self._kind.allParameters.items():
            field.kind.write(node, f"{name}.{member}", getattr(value, member))

    def read(self, node: Node, name: str) -> Any:
        found = self._kind()
        for member, field in self._kind.allParameters.items():
            setattr(found, member, field.kind.read(node, f"{name}.{member}"))

        def write(member: str, value: Any) -> None:
            self._kind.allParameters[member].kind.write(node, f"{name}.{member}", value)

        return packs.observe(found, write)


class ObservedList(MutableSequence):
    """A list that writes itself back, as a whole, when it changes; what will not do changes nothing."""

    def __init__(self, items: list, write: Callable[[list], list]) -> None:
        self._items, self._write = items, write

    def _change(self, change: Callable[[list], None]) -> None:
        items = list(self._items)
        change(items)
        self._items = self._write(items)

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return self._items == (other._items if isinstance(other, ObservedList) else other)

    def __repr__(self) -> str:
        return repr(self._items)

    def __setitem__(self, index: Any, value: Any) -> None:
        self._change(lambda items: items.__setitem__(index, value))

    def __delitem__(self, index: Any) -> None:
        self._change(lambda items: items.__delitem__(index))

    def insert(self, index: int, value: Any) -> None:
        self._change(lambda items: items.insert(index, value))

    def extend(self, values: Iterable) -> None:
        self._change(lambda items: items.extend(values))

    def __iadd__(self, values: Iterable) -> ObservedList:
        self.extend(values)
        return self

    def clear(self) -> None:
        self._change(list.clear)

    def sort(self, **options: Any) -> None:
        self._change(lambda items: items.sort(**options))


class ObservedDict(MutableMapping):
    """A dictionary that writes itself back, as a whole, when it changes; what will not do changes nothing."""

    def __init__(self, items: dict, write: Callable[[dict], dict]) -> None:
        self._items, self._write = items, write

    def _change(self, change: Callable[[dict], Any]) -> None:
        items = dict(self._items)
        change(items)
        self._items = self._write(items)

    def __getitem__(self, key: Any) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return self._items == (other._items if isinstance(other, ObservedDict) else other)

    def __repr__(self) -> str:
        return repr(self._items)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._change(lambda items: items.__setitem__(key, value))

    def __delitem__(self, key: Any) -> None:
        self._change(lambda items: items.__delitem__(key))

    def popitem(self) -> tuple:
        key = next(reversed(self._items))
        return key, self.pop(key)

    def clear(self) -> None:
        self._change(dict.clear)


PLAIN = {
    int: Text(int, 0, int),
    float: Text((int, float), 0.0, float),
    str: Text(str, "", str),
    bool: Text(bool, False, lambda text: text == "True"),
}


def kind_of(annotated: Any) -> Kind:
    """The kind that keeps values of a type, as it is written in a class; TypeError if there is none."""
    declared, annotations = split(annotated)
    validators = [item for item in annotations if isinstance(item, Validator)]
    if validators:
        return Checked(kind_of(declared), validators)
    origin, arguments = get_origin(declared), get_args(declared)
    if declared in PLAIN:
        return PLAIN[declared]
    if origin in (Union, types.UnionType):
        return _kind_of_union(declared, arguments)
    if origin in (list, tuple) and (origin is list or arguments[1:] == (Ellipsis,)):
        return Sequence(origin, kind_of(arguments[0]))
    if origin is tuple:
        return Fixed([kind_of(item) for item in arguments])
    if origin is dict:
        return Mapping(*map(kind_of, arguments))
    if isinstance(declared, type):
        if issubclass(declared, PurePath):
            return Text(declared, declared(), declared)
        if issubclass(declared, enum.Enum):
            return Member(declared)
        if declared is packs.FloatRange:
            return Range()
        if issubclass(declared, slicer.vtkMRMLNode):
            return Reference((declared,))
        if packs.isParameterPack(declared):
            return Pack(declared)
    raise TypeError(f"the stand-in keeps no values of type {declared}; Slicer may")


def _kind_of_union(declared: Any, arguments: tuple) -> Kind:
    others = tuple(item for item in arguments if item is not type(None))
    if all(isinstance(item, type) and issubclass(item, slicer.vtkMRMLNode) for item in others):
        return Reference(others)
    if len(others) == 1 and len(arguments) == 2:
        return Optional(kind_of(others[0]))
    raise TypeError(f"the stand-in keeps no values of type {declared}; Slicer may")


def node_types(declared: Any) -> list[str]:
    """Names of the node classes that a type allows."""
    allowed = get_args(declared) or (declared,)
    return [item.__name__ for item in allowed if item is not type(None)]
