"""Numbers of a training that run away: not finite, or far above what they were for long."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

FAR = 20.0
"""A loss that is so many times its usual value is far from it. The losses of adversarial training go up and down by
less: between a discriminator that has won and one that guesses lies a factor of about 10 in least squares."""

SCALE = 1.0
"""Usual values below it count as it: all losses here are of the order of one, and one that has come near to zero may
become a hundred times as large without harm."""

MEMORY, ENOUGH, PATIENCE = 100, 10, 10
"""Blocks whose median is the usual value, blocks that are needed for one, and blocks in a row that are far from it
until the training counts as diverging. A block is the iterations between two reports."""

GRADIENT = "gradient"


@dataclass(frozen=True)
class Runaway:
    """Numbers that ran away.

    Attributes:
        reason: in words, with the iteration.
        since: iterations that were done when they still were as usual.
    """

    reason: str
    since: int


class NumberGuard:
    """Looks at the numbers of all iterations, in blocks of a fixed length, so that a resumed run sees the same blocks.

    Args:
        block: iterations in a block.
    """

    def __init__(self, block: int) -> None:
        self.length = block
        self._block: dict[str, list[Tensor]] = defaultdict(list)
        self._usual: dict[str, list[float]] = defaultdict(list)
        # blocks in a row in which a number has been far from its usual value
        self._far: dict[str, int] = {}

    @property
    def suspicious(self) -> bool:
        """Whether a loss is far from its usual value by now, though not for long."""
        return any(self._far.values())

    def add(self, values: Mapping[str, Tensor | float]) -> None:
        """Take the numbers of one iteration; no value is waited for."""
        for name, value in values.items():
            self._block[name].append(torch.as_tensor(value).detach())

    def look(self, done: int) -> Runaway | None:
        """What ran away, after so many iterations; the value of the whole block is judged where it ends here."""
        means = {name: _mean(parts) for name, parts in self._block.items() if parts}
        for name, mean in means.items():
            if not math.isfinite(mean):
                what = "a gradient is not finite" if name == GRADIENT else f"{name} is not a number"
                return Runaway(f"{what} at iteration {done}", done)
        if done % self.length:
            return None
        self._block.clear()
        for name, mean in means.items():
            if _is_loss(name) and self._judge(name, abs(mean)):
                away = (
                    f"{name} has been more than {FAR:g} times its usual value for {PATIENCE * self.length} iterations"
                )
                return Runaway(f"{away} at iteration {done}", done - PATIENCE * self.length)
        return None

    def _judge(self, name: str, size: float) -> bool:
        usual = self._usual[name]
        if len(usual) >= ENOUGH and size > FAR * max(statistics.median(usual), SCALE):
            self._far[name] = self._far.get(name, 0) + 1
            return self._far[name] >= PATIENCE
        # what is far from the usual is no part of it
        self._far[name] = 0
        usual.append(size)
        del usual[:-MEMORY]
        return False

    def state(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {
            "block": {name: [float(value) for value in parts] for name, parts in self._block.items()},
            "usual": dict(self._usual),
            "far": dict(self._far),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """From the checkpoint; one of an earlier version has nothing for it."""
        self._block.clear()
        for name, values in state.get("block", {}).items():
            self._block[name] = [torch.tensor(value) for value in values]
        self._usual = defaultdict(list, state.get("usual", {}))
        self._far = dict(state.get("far", {}))


def _mean(numbers: list[Tensor]) -> float:
    """Mean of scalars; those of a checkpoint are on the processor, later ones where the training runs."""
    return float(torch.stack([number.to(numbers[-1].device) for number in numbers]).float().mean())


def _is_loss(name: str) -> bool:
    """Whether a number should become small: not the rates, nor what discriminators and masks give."""
    outputs = ("_discriminator_source", "_discriminator_target")
    return name not in (GRADIENT, "learning_rate") and not name.startswith("mask_") and not name.endswith(outputs)


class OptimizerWatch:
    """What every optimiser of the process does with its steps meanwhile, of whichever method it is.

    Attributes:
        share: by which learning rates are multiplied within a step.
    """

    def __init__(self) -> None:
        self.share = 1.0
        self._largest: Tensor | None = None
        self._rates: list[float] = []

    def largest_gradient(self) -> dict[str, Tensor]:
        """Largest absolute gradient since the last call, by the name it is looked at under; empty without a step."""
        largest, self._largest = self._largest, None
        return {} if largest is None else {GRADIENT: largest}

    @contextmanager
    def watching(self) -> Iterator[OptimizerWatch]:
        """Watch steps within."""
        handles = [
            register_optimizer_step_pre_hook(self._before),
            register_optimizer_step_post_hook(self._after),
        ]
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    @torch.no_grad()
    def _before(self, optimizer: torch.optim.Optimizer, *words: Any) -> None:
        gradients = [
            weight.grad for group in optimizer.param_groups for weight in group["params"] if weight.grad is not None
        ]
        if gradients:
            # in one go: hundreds of small calls keep a GPU waiting
            largest = torch.stack([norm.float() for norm in torch._foreach_norm(gradients, torch.inf)]).max()
            self._largest = largest if self._largest is None else torch.maximum(self._largest, largest)
        self._rates = [group["lr"] for group in optimizer.param_groups]
        if self.share != 1:
            for group in optimizer.param_groups:
                group["lr"] = self.share * group["lr"]

    def _after(self, optimizer: torch.optim.Optimizer, *words: Any) -> None:
        for group, rate in zip(optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate


def all_finite(state: Any) -> bool:
    """Whether every tensor in nested dictionaries and lists is finite."""
    if isinstance(state, Tensor):
        return not state.is_floating_point() or bool(torch.isfinite(state).all())
    if isinstance(state, Mapping):
        return all(all_finite(value) for value in state.values())
    return not isinstance(state, list | tuple) or all(all_finite(value) for value in state)
