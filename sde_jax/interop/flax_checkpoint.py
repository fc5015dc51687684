"""Converts the checkpoints of score_sde, written by Flax of 2020, to our layout."""

from collections.abc import Mapping, Sequence
from typing import Any

from sde_jax.arrays import PyTree
from sde_jax.interop.gathering import Slot, flatten, gather, part_of, whole
from sde_jax.interop.layout import PublishedTensor
from sde_jax.interop.training_state import AdamMoments

__all__ = ["FlaxCheckpoint"]


class FlaxCheckpoint:
    """The dict of ``step``, ``optimizer``, ``params_ema`` and unused entries.

    `optimizer` contains the parameters as `target`, and `state` with their moments.

    Attributes:
      problems: the mismatches found so far.
      params: the parameters.
    """

    def __init__(self, content: Mapping[str, Any], layout: Sequence[PublishedTensor]) -> None:
        self.content = content
        self.problems: list[str] = []
        self.slots = {
            "/".join(tensor.flax_path): Slot(tensor.path, tensor.flax_shapes, tensor.from_flax)
            for tensor in layout
            if tensor.path is not None
        }
        self.params = self._tree("optimizer", "target")

    def ema_params(self) -> PyTree:
        """Returns the running average of the parameters."""
        return self._tree("params_ema")

    @property
    def step(self) -> int:
        """Updates made."""
        return whole(self.content.get("step"), "step", self.problems)

    def moments(self) -> AdamMoments | None:
        """Returns the state of Adam."""
        updates = part_of(self.content, self.problems, "optimizer", "state").get("step")
        return AdamMoments(
            whole(updates, "of updates", self.problems),
            self._moment("grad_ema"),
            self._moment("grad_sq_ema"),
        )

    def _moment(self, key: str) -> PyTree:
        states = part_of(self.content, self.problems, "optimizer", "state", "param_states")
        values = {"/".join(path[:-1]): value for path, value in flatten(states) if path[-1] == key}
        return gather(f"`optimizer` {key}", values, self.slots, self.problems)

    def _tree(self, *keys: str) -> PyTree:
        part = part_of(self.content, self.problems, *keys)
        values = {"/".join(path): value for path, value in flatten(part)}
        return gather(f"`{'.'.join(keys)}`", values, self.slots, self.problems)
