"""Converts the checkpoints of score_sde_pytorch to our layout and back."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sde_jax.arrays import PyTree
from sde_jax.interop.gathering import Slot, gather, leaf_at, part_of, whole
from sde_jax.interop.layout import PublishedTensor
from sde_jax.interop.published_model import PublishedModel
from sde_jax.interop.training_state import AdamMoments, PublishedState

__all__ = ["TorchCheckpoint", "torch_content"]

PREFIX = "module."
"""The prefix of every name under `model`, from DataParallel; it is optional in files."""


class TorchCheckpoint:
    """The dict of ``optimizer``, ``model``, ``ema`` and ``step``.

    `model` contains every parameter by name, and the noise levels `sigmas`. `ema` is a list of the
    trained parameters. `optimizer` numbers all parameters and has entries for the trained ones.

    Attributes:
      problems: the mismatches found so far.
      params: the parameters.
    """

    def __init__(
        self,
        content: Mapping[str, Any],
        model: PublishedModel,
        layout: Sequence[PublishedTensor],
    ) -> None:
        self.content = content
        self.model = model
        self.layout = layout
        self.problems: list[str] = []
        self.slots = {
            tensor.torch_name: Slot(tensor.path, (tensor.torch_shape,), tensor.from_torch)
            for tensor in layout
        }
        tensors = part_of(content, self.problems, "model")
        named = {str(name).removeprefix(PREFIX): value for name, value in tensors.items()}
        self._check_noise_levels(named.pop("sigmas", None))
        self.params = gather("`model`", named, self.slots, self.problems)
        self._untrained = {
            tensor.torch_name: named[tensor.torch_name]
            for tensor in layout
            if not tensor.trainable and tensor.torch_name in named
        }

    @property
    def step(self) -> int:
        """Updates made."""
        return whole(self.content.get("step"), "step", self.problems)

    def ema_params(self) -> PyTree:
        """Returns the running average of the parameters; untrained ones are unchanged."""
        average = part_of(self.content, self.problems, "ema").get("shadow_params")
        trained = [tensor.torch_name for tensor in self.layout if tensor.trainable]
        count = len(average) if isinstance(average, list) else 0
        if not isinstance(average, list) or count != len(trained):
            self.problems.append(f"`ema` has {count} tensors, not {len(trained)}")
            return {}
        values = self._untrained | dict(zip(trained, average, strict=True))
        return gather("`ema`", values, self.slots, self.problems)

    def moments(self) -> AdamMoments | None:
        """Returns the state of Adam, zero for untrained parameters."""
        states = part_of(self.content, self.problems, "optimizer", "state")
        if not states:
            return None
        names = {place: tensor.torch_name for place, tensor in enumerate(self.layout)}
        named = {
            names.get(place, f"parameter {place}"): state if isinstance(state, Mapping) else {}
            for place, state in states.items()
        }
        updates = {
            whole(state.get("step"), "of updates", self.problems) for state in named.values()
        }
        if len(updates) > 1:
            self.problems.append(f"`optimizer` counts {sorted(updates)} updates")
        return AdamMoments(
            max(updates), self._moment(named, "exp_avg"), self._moment(named, "exp_avg_sq")
        )

    def _moment(self, states: Mapping[str, Mapping[str, Any]], key: str) -> PyTree:
        values: dict[str, Any] = {
            name: np.zeros_like(value) for name, value in self._untrained.items()
        }
        values.update((name, state[key]) for name, state in states.items() if key in state)
        used = {name: slot for name, slot in self.slots.items() if slot.path is not None}
        return gather(f"`optimizer` {key}", values, used, self.problems)

    def _check_noise_levels(self, found: Any) -> None:
        expected = noise_levels(self.model)
        if not isinstance(found, np.ndarray) or found.ndim != 1 or not found.size:
            self.problems.append(f"`model` lacks sigmas, {described(expected)}")
        elif found.shape != expected.shape or not np.allclose(found, expected, rtol=1e-5):
            self.problems.append(
                f"the sigmas in `model` are {described(found)}; those of `num_scales`, `sigma_max` "
                f"and `sigma_min` are {described(expected)}"
            )


def noise_levels(model: PublishedModel) -> np.ndarray:
    """Returns `num_scales` levels in geometric progression from `sigma_max` to `sigma_min`."""
    ends = np.log(model.sigma_max), np.log(model.sigma_min)
    return np.exp(np.linspace(*ends, model.num_scales))


def described(noise_levels: np.ndarray) -> str:
    """Describes noise levels by number, first and last."""
    first, last = float(noise_levels[0]), float(noise_levels[-1])
    return f"{len(noise_levels)} noise levels from {first:g} to {last:g}"


def torch_content(
    model: PublishedModel, layout: Sequence[PublishedTensor], state: PublishedState
) -> dict[str, Any]:
    """Builds the content of a `TorchCheckpoint`; unused parameters are zero."""

    def arrays(tree: PyTree, tensors: Sequence[PublishedTensor]) -> list[np.ndarray]:
        return [
            np.zeros(tensor.torch_shape, np.float32)
            if tensor.path is None
            else tensor.to_torch(np.asarray(leaf_at(tree, tensor.path), np.float32))
            for tensor in tensors
        ]

    names = [PREFIX + tensor.torch_name for tensor in layout]
    named = dict(zip(names, arrays(state.params, layout), strict=True))
    trained = [tensor for tensor in layout if tensor.trainable]
    states = {}
    if state.moments is not None:
        updates, *moments = state.moments
        places = [
            place
            for place, tensor in enumerate(layout)
            if tensor.trainable and tensor.path is not None
        ]
        updated = [layout[place] for place in places]
        states = {
            place: {"step": np.asarray(updates, np.float32), "exp_avg": mean, "exp_avg_sq": square}
            for place, mean, square in zip(
                places, *(arrays(tree, updated) for tree in moments), strict=True
            )
        }
    return {
        "optimizer": {
            "state": states,
            "param_groups": [{**adam_settings(model, state.step), "params": [*range(len(layout))]}],
        },
        "model": OrderedDict({PREFIX + "sigmas": noise_levels(model), **named}),
        "ema": {
            "decay": model.ema_rate,
            "num_updates": state.step,
            "shadow_params": arrays(state.ema_params, trained),
        },
        "step": state.step,
    }


def adam_settings(model: PublishedModel, step: int) -> dict[str, Any]:
    """Returns the settings of PyTorch's Adam at the last of ``step`` updates."""
    warmed_up = min(max(step - 1, 0) / model.warmup, 1.0) if model.warmup else 1.0
    return {
        "lr": model.lr * warmed_up,
        "betas": (model.beta1, 0.999),
        "eps": model.eps,
        "weight_decay": model.weight_decay,
        "amsgrad": False,
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "fused": None,
        "decoupled_weight_decay": False,
    }
