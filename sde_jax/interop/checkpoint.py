"""The content of a published checkpoint, and the training state in our layout."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from sde_jax.arrays import PyTree
from sde_jax.interop.gathering import Slot, gather


class AdamMoments(NamedTuple):
    """The state of Adam, with trees like the parameters."""

    updates: int
    """Number of updates of the moments."""
    mean: PyTree
    """Running mean of the gradients."""
    mean_square: PyTree
    """Running mean of their squares."""


class PublishedState(NamedTuple):
    """A run of score_sde after ``step`` updates, with float32 arrays of numpy."""

    step: int
    """Updates made."""
    params: PyTree
    """The optimized parameters."""
    ema_params: PyTree
    """Their running average."""
    moments: AdamMoments | None
    """The optimizer's state; None before the first update."""


class Checkpoint:
    """The content of a file, which is read in parts.

    Attributes:
      content: nested dicts.
      slots: the place of each parameter by its name in the file.
      problems: the mismatches found so far.
    """

    def __init__(self, content: Mapping[str, Any], slots: Mapping[str, Slot]) -> None:
        self.content = content
        self.slots = slots
        self.problems: list[str] = []

    @property
    def step(self) -> int:
        """Updates made."""
        return self.number(self.content.get("step"), "step")

    def tree(self, section: str, values: Mapping[str, Any]) -> PyTree:
        """Returns the parameters of a section by their places."""
        return gather(section, values, self.slots, self.problems)

    def part(self, *keys: str) -> Mapping[Any, Any]:
        """Returns the dict under ``keys``, or an empty one and adds a problem."""
        part: Any = self.content
        for key in keys:
            part = part.get(key) if isinstance(part, Mapping) else None
        if not isinstance(part, Mapping):
            self.problems.append(f"it lacks the dict `{'.'.join(keys)}`")
            return {}
        return part

    def number(self, value: Any, name: str) -> int:
        """Returns a count, or 0 and adds a problem."""
        if not isinstance(value, int | float | np.generic | np.ndarray) or np.size(value) != 1:
            self.problems.append(f"it lacks the number {name}")
            return 0
        return int(value)
