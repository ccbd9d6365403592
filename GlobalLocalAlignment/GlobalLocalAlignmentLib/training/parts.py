"""Batches for which memory does not suffice: they go through the networks in parts and count as a whole.

A part goes through without keeping what its gradient takes; on the way back it goes through once more, and the
gradients of all parts add up. Losses see the whole batch, discriminators and optimisers are called as before: a step is
that of the whole batch, whatever the method, but for rounding and but for batch norm, which normalises each part by
itself. Memory for what the gradient takes falls with the number of parts, and time grows by the second way through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import fields, is_dataclass, replace
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Parts:
    """In how many parts the batches of a run go through its networks.

    Attributes:
        count: 1 for whole batches.
        inside: whether a part is under way: networks that it calls take it as it is.
    """

    def __init__(self) -> None:
        self.count, self.inside = 1, False


def in_parts(network: nn.Module, parts: Parts, methods: Sequence[str] = ()) -> None:
    """Let a network take its batches in parts, in ``forward`` and in further methods.

    Args:
        network: its methods take tensors (N, ...) and whatever else, and give tensors (N, ...), alone or in tuples,
            lists or dataclasses.
        parts: asked with each call.
        methods: names of further methods.
    """
    for name in ("forward", *methods):
        # a method of the instance: copies of the network get it as theirs
        setattr(network, name, MethodType(_InParts(getattr(type(network), name), parts), network))


def as_a_whole(network: nn.Module) -> None:
    """Take back ``in_parts`` for the ``forward`` of a network."""
    del network.forward


class _InParts:
    """A method of networks that takes its batch in parts."""

    def __init__(self, method: Callable[..., Any], parts: Parts) -> None:
        self.method, self.parts = method, parts

    def __call__(self, network: nn.Module, *inputs: Any) -> Any:
        parts = self.parts
        size = next((len(value) for value in inputs if isinstance(value, Tensor)), 0)
        if parts.count == 1 or parts.inside or size < 2 or not torch.is_grad_enabled():
            return self.method(network, *inputs)
        count = min(parts.count, size)
        split = [
            value.tensor_split(count) if isinstance(value, Tensor) and len(value) == size else count * [value]
            for value in inputs
        ]
        networks = [network, *(value for value in inputs if isinstance(value, nn.Module))]
        return _joined([self._one(networks, count, part) for part in zip(*split, strict=True)])

    def _one(self, networks: list[nn.Module], count: int, part: tuple[Any, ...]) -> Any:
        before = _AsBefore(networks)
        with _SmallerSteps(networks, count):
            inputs, contexts = (networks[0], *part), lambda: (nullcontext(), before)
            return checkpoint(self._through, *inputs, use_reentrant=False, context_fn=contexts)

    def _through(self, network: nn.Module, *inputs: Any) -> Any:
        outer, self.parts.inside = self.parts.inside, True
        try:
            return self.method(network, *inputs)
        finally:
            self.parts.inside = outer


class _SmallerSteps:
    """Running statistics of batch norm move as far with all parts as they do with one whole batch."""

    def __init__(self, networks: Iterable[nn.Module], count: int) -> None:
        self.momenta = [(layer, layer.momentum) for layer in _norms(networks)]
        self.count = count

    def __enter__(self) -> None:
        for layer, momentum in self.momenta:
            layer.momentum = 1 - (1 - momentum) ** (1 / self.count)

    def __exit__(self, *error: object) -> None:
        for layer, momentum in self.momenta:
            layer.momentum = momentum


class _AsBefore:
    """A part goes through for the second time as it did for the first one, and leaves running statistics alone.

    By then a network may have been thawed again, or follow other statistics. Entered anew for each way back.
    """

    def __init__(self, networks: Iterable[nn.Module]) -> None:
        networks = list(networks)
        self.states: list[tuple[Any, str, Any]] = [
            (weight, "requires_grad", weight.requires_grad) for network in networks for weight in network.parameters()
        ]
        self.states += [(module, "training", module.training) for network in networks for module in network.modules()]
        for layer in _norms(networks):
            self.states += [(layer, "track_running_stats", layer.track_running_stats), (layer, "momentum", 0.0)]
        self.stack = ExitStack()

    def __enter__(self) -> None:
        for owner, name, value in self.states:
            now = getattr(owner, name)
            if now != value:
                self.stack.callback(setattr, owner, name, now)
                setattr(owner, name, value)

    def __exit__(self, *error: object) -> None:
        self.stack.close()


def _norms(networks: Iterable[nn.Module]) -> list[nn.BatchNorm2d]:
    return [module for network in networks for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def _joined(outputs: list[Any]) -> Any:
    """What a network has given for each part, as it would have given it for the whole."""
    first = outputs[0]
    if isinstance(first, Tensor):
        return torch.cat(outputs)
    if is_dataclass(first):
        names = [field.name for field in fields(first)]
        return replace(first, **{name: _joined([getattr(output, name) for output in outputs]) for name in names})
    if isinstance(first, tuple | list):
        return type(first)(_joined(list(entries)) for entries in zip(*outputs, strict=True))
    return first
