"""Makes PySide6 behave as PythonQt does in Slicer, only stricter.

The classes of PySide6 themselves are changed, for the whole process: so objects that Qt makes (children of a .ui file,
layouts, buttons of a dialog) follow the same rules as those that Python makes, whoever uses them.
"""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import MethodDescriptorType
from typing import Any

import shiboken6
from PySide6 import QtCore, QtGui, QtWidgets

from SlicerHost.problems import WrongSignatureError, WrongThreadError, record_exception

MAIN_THREAD = threading.main_thread().ident
ANY_THREAD = {"thread"}
"""Names that may be asked for on every thread: this one tells which thread an object lives in."""
UNNAMED_IN_PYTHONQT = {"exec"}
"""PythonQt calls it exec_; the shorter name does not exist there."""
OUR_PACKAGE = "SlicerHost"

_original_getattribute = QtCore.QObject.__getattribute__
_original_connect = QtCore.QObject.connect
_original_disconnect = QtCore.QObject.disconnect
_get_property = QtCore.QObject.property
_set_property = QtCore.QObject.setProperty
_dropped: list[bool] = []
_connections: dict[tuple[int, str], list[tuple[Callable, Callable]]] = {}


def require_main_thread(what: str) -> None:
    """Raise WrongThreadError on any other thread."""
    if threading.get_ident() != MAIN_THREAD:
        raise WrongThreadError(f"{what} was used on thread {threading.current_thread().name!r}")


def is_native(kind: type) -> bool:
    """True for a class that is C++ in Slicer: those of PySide6 and the widgets of the host."""
    return kind.__module__.partition(".")[0] in ("PySide6", OUR_PACKAGE)


class Signal:
    """A signal of an object, with the methods that PythonQt gives it."""

    def __init__(self, sender: QtCore.QObject, name: str) -> None:
        self._sender = sender
        self._signature = _default_signature(sender, name)

    def connect(self, slot: Callable) -> bool:
        return connect(self._sender, self._signature, slot)

    def disconnect(self, slot: Callable) -> bool:
        return disconnect(self._sender, self._signature, slot)

    def emit(self, *arguments: Any) -> None:
        require_main_thread(self._signature)
        _original_getattribute(self._sender, self._signature.partition("(")[0]).emit(*arguments)

    __call__ = emit


def _default_signature(sender: QtCore.QObject, name: str) -> str:
    meta = sender.metaObject()
    found = [meta.method(index) for index in range(meta.methodCount())]
    signatures = [_text(method.methodSignature()) for method in found if _text(method.name()) == name]
    return signatures[0]


def _text(value: QtCore.QByteArray) -> str:
    return value.data().decode()


def find_signal(sender: QtCore.QObject, signature: str) -> str:
    """Signature of a signal as Qt knows it, for one written as in C++, `clicked(bool)`.

    Raises WrongSignatureError if the object has no such signal; Slicer only prints a line.
    """
    # a widget of the host names its signals as C++ does, where Qt knows them with other types
    translated = getattr(type(sender), "CPP_SIGNALS", {}).get(signature.replace(" ", ""), signature)
    normal = _text(QtCore.QMetaObject.normalizedSignature(translated))
    if "(" not in normal or sender.metaObject().indexOfSignal(normal) < 0:
        raise WrongSignatureError(f"{type(sender).__name__} {sender.objectName!r} has no signal {signature!r}")
    return normal


def arguments_taken(slot: Callable) -> int | None:
    """How many arguments PythonQt hands to a slot: those its code names, defaults included; None is all of them."""
    bound = inspect.ismethod(slot)
    code = getattr(slot.__func__ if bound else slot, "__code__", None)
    if code is None or code.co_flags & inspect.CO_VARARGS:
        return None
    return code.co_argcount - bound


def connect(sender: QtCore.QObject, signature: str, slot: Callable) -> bool:
    """`widget.connect("clicked(bool)", slot)`."""
    require_main_thread("connect")
    if not callable(slot):
        raise TypeError(f"a slot must be callable, not {slot!r}")
    normal = find_signal(sender, signature)
    limit = arguments_taken(slot)

    def call(*arguments: Any) -> None:
        try:
            require_main_thread(f"slot of {normal}")
            slot(*arguments[:limit])
        except Exception as error:
            record_exception(f"slot {getattr(slot, '__qualname__', slot)} of {type(sender).__name__}.{normal}", error)

    key = (shiboken6.getCppPointer(sender)[0], normal)
    if key not in _connections:
        # another object may get the address of this one, and must not inherit its slots
        _original_connect(sender, "2destroyed()", lambda: _connections.pop(key, None))
    _connections.setdefault(key, []).append((slot, call))
    _original_connect(sender, "2" + normal, call)
    return True


def disconnect(sender: QtCore.QObject, signature: str, slot: Callable) -> bool:
    """Undo one connect; False if there was none, as in PythonQt."""
    require_main_thread("disconnect")
    normal = find_signal(sender, signature)
    made = _connections.get((shiboken6.getCppPointer(sender)[0], normal), [])
    for index, (known, call) in enumerate(made):
        if known == slot:
            del made[index]
            _original_disconnect(sender, "2" + normal, call)
            return True
    return False


@contextmanager
def children_stay_children() -> Iterator[None]:
    """PySide6 makes the children of a .ui file attributes of its widget, PythonQt does not: drop them in this block."""
    _dropped.append(True)
    try:
        yield
    finally:
        _dropped.pop()


OURS_BY_NAME = {"connect": connect, "disconnect": disconnect}
"""Methods that PySide6 finds before it looks into the class."""


def _getattribute(self: QtCore.QObject, name: str) -> Any:
    if name.startswith("__"):
        return _original_getattribute(self, name)
    if name not in ANY_THREAD:
        require_main_thread(f"{type(self).__name__}.{name}")
    if name in UNNAMED_IN_PYTHONQT:
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}; in PythonQt it is {name}_")
    if name in OURS_BY_NAME:
        return partial(OURS_BY_NAME[name], self)
    try:
        value = _original_getattribute(self, name)
    except AttributeError:
        if name in _original_getattribute(self, "dynamicPropertyNames")():
            return _get_property(self, name)
        raise
    # PythonQt gives lists of Qt as tuples
    if isinstance(value, list) and isinstance(
        inspect.getattr_static(type(self), name, None), (QtProperty, QtCore.Property)
    ):
        return tuple(value)
    return Signal(self, name) if isinstance(value, QtCore.SignalInstance) else value


def _setattr(self: QtCore.QObject, name: str, value: Any) -> None:
    require_main_thread(f"{type(self).__name__}.{name}")
    known = inspect.getattr_static(type(self), name, None)
    if hasattr(type(known), "__set__"):
        return known.__set__(self, value)
    if isinstance(known, QtCore.Property) and known.fset is not None:
        return known.fset(self, value)
    if known is None and name in self.dynamicPropertyNames():
        _set_property(self, name, value)
        return None
    ours = type(self).__module__.partition(".")[0] == OUR_PACKAGE and name.startswith("_")
    # PySide6 keeps the signals of an object that Qt made in this way
    if is_native(type(self)) and not ours and not isinstance(value, QtCore.SignalInstance):
        if _dropped and isinstance(value, QtCore.QObject):
            return None
        what = "is no property, it cannot be set" if known is not None else "does not exist"
        raise AttributeError(f"{type(self).__name__}.{name} {what}")
    # not the __setattr__ that was here before: Python lets nobody call a replaced one
    self.__dict__[name] = value
    return None


def single_shot(milliseconds: int, slot: Callable) -> None:
    """`QTimer.singleShot(milliseconds, slot)`."""
    timer = QtCore.QTimer(QtCore.QCoreApplication.instance())
    timer.setSingleShot(True)
    timer.timeout.connect(slot)
    timer.timeout.connect(timer.deleteLater)
    timer.start(milliseconds)


STATIC_METHODS = {(QtCore.QTimer, "singleShot"): staticmethod(single_shot)}
"""What the class shows under the name of a property, where PySide6 has a method that needs its own connect."""


class QtProperty:
    """A Qt property as an attribute of the objects of a class. The class itself still shows the method of that name."""

    def __init__(self, kind: type, name: str, writable: bool) -> None:
        self._name, self._writable = name, writable
        self._method = STATIC_METHODS.get((kind, name)) or inspect.getattr_static(kind, name, None)
        title = name[0].upper() + name[1:]
        getters = [self._method] + [getattr(kind, prefix + title, None) for prefix in ("is", "has")]
        # a method of the class rather than property(): for a virtual one Qt would ask Python again, for ever
        # those of the application are static, and so no way to its properties
        self._getter = next((getter for getter in getters if isinstance(getter, MethodDescriptorType)), None)
        setter = getattr(kind, f"set{title}", None)
        self._setter = setter if isinstance(setter, MethodDescriptorType) else None

    def __get__(self, instance: QtCore.QObject | None, owner: type) -> Any:
        if instance is None:
            return self if self._method is None else self._method.__get__(None, owner)
        return self._getter(instance) if self._getter else _get_property(instance, self._name)

    def __set__(self, instance: QtCore.QObject, value: Any) -> None:
        if not self._writable:
            raise AttributeError(f"{type(instance).__name__}.{self._name} is read-only")
        if self._setter:
            self._setter(instance, value)
        elif not _set_property(instance, self._name, value):
            raise TypeError(f"{type(instance).__name__}.{self._name} does not take {value!r}")


def properties_as_attributes(kind: type) -> None:
    """Turn the Qt properties of a class, and methods of it that hide inherited ones, into attributes."""
    meta = kind.staticMetaObject
    for index in range(meta.propertyCount()):
        found = meta.property(index)
        if index >= meta.propertyOffset() or found.name() in vars(kind):
            setattr(kind, found.name(), QtProperty(kind, found.name(), found.isWritable()))


def property_names(kind: type) -> set[str]:
    """Names of the Qt properties of a class, one of the host's included."""
    return {
        name
        for base in kind.__mro__
        for name, value in vars(base).items()
        if isinstance(value, (QtProperty, QtCore.Property))
    }


def qobject_classes() -> list[type]:
    """All classes of Qt's core, GUI and widgets that derive from QObject, bases first."""
    # by getattr: PySide6 makes a class only when it is asked for
    named = {getattr(module, name) for module in (QtCore, QtGui, QtWidgets) for name in dir(module) if name[0] == "Q"}
    classes = [kind for kind in named if inspect.isclass(kind) and issubclass(kind, QtCore.QObject)]
    return sorted(classes, key=lambda kind: len(kind.__mro__))


def _without_keywords(kind: type) -> Callable:
    """Constructor of a class that takes no properties by keyword, which PythonQt does not know."""
    construct = kind.__init__

    def __init__(self: QtCore.QObject, *arguments: Any, **keywords: Any) -> None:
        if keywords:
            raise TypeError(f"{kind.__name__} takes no keywords in PythonQt: {sorted(keywords)}")
        construct(self, *arguments)

    return __init__


def install() -> None:
    """Change the classes; once, before the first widget."""
    for kind in qobject_classes():
        properties_as_attributes(kind)
        kind.__init__ = _without_keywords(kind)
        # each class of PySide6 has a __setattr__ of its own, which hides that of its base
        kind.__setattr__ = _setattr
    base = QtCore.QObject
    base.__getattribute__ = _getattribute
    base.name = property(lambda self: self.objectName, lambda self, value: setattr(self, "objectName", value))
    base.className = lambda self: re.sub(r"^Host", "", self.metaObject().className())
    base.delete = lambda self: shiboken6.delete(self)
    # PythonQt takes 0 for the null pointer, and Slicer's own modules write it so
    set_parent = QtWidgets.QWidget.setParent
    QtWidgets.QWidget.setParent = lambda self, parent, *flags: set_parent(self, parent or None, *flags)
