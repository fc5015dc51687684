"""Converts the checkpoints of score_sde_pytorch to our layout and back."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict

from sde_jax.arrays import PyTree
from sde_jax.interop.checkpoint import AdamMoments, Checkpoint, PublishedState
from sde_jax.interop.gathering import gather
from sde_jax.interop.layout import PublishedTensor
from sde_jax.interop.published_model import PublishedModel

PREFIX = "module."
"""The prefix of every name under `model`, from DataParallel; it is optional in files."""


class TorchCheckpoint(Checkpoint):
    """The dict of ``optimizer``, ``model``, ``ema`` and ``step``.

    `model` contains every parameter by name, and the noise levels `sigmas`. `ema` is a list of the
    trained parameters. `optimizer` numbers all parameters and has entries for the trained ones.
    """

    def __init__(
        self,
        content: Mapping[str, Any],
        model: PublishedModel,
        layout: Sequence[PublishedTensor],
    ) -> None:
        super().__init__(content, {tensor.torch_name: tensor.torch_slot for tensor in layout})
        self.layout = layout
        tensors = self.part("model")
        named = {str(name).removeprefix(PREFIX): value for name, value in tensors.items()}
        self._check_noise_levels(named.pop("sigmas", None), noise_levels(model))
        self.params = self.tree("`model`", named)
        self._untrained = {
            tensor.torch_name: named[tensor.torch_name]
            for tensor in layout
            if not tensor.trainable and tensor.torch_name in named
        }

    def ema_params(self) -> PyTree:
        """Returns the running average of the parameters; untrained ones are unchanged."""
        average = self.part("ema").get("shadow_params")
        trained = [tensor.torch_name for tensor in self.layout if tensor.trainable]
        count = len(average) if isinstance(average, list) else 0
        if not isinstance(average, list) or count != len(trained):
            self.problems.append(f"`ema` has {count} tensors, not {len(trained)}")
            return {}
        return self.tree("`ema`", self._untrained | dict(zip(trained, average, strict=True)))

    def moments(self) -> AdamMoments | None:
        """Returns the state of Adam, zero for untrained parameters."""
        states = self.part("optimizer", "state")
        if not states:
            return None
        names = dict(enumerate(self.slots))
        named = {
            names.get(place, f"parameter {place}"): state if isinstance(state, Mapping) else {}
            for place, state in states.items()
        }
        updates = {self.number(state.get("step"), "of updates") for state in named.values()}
        if len(updates) > 1:
            self.problems.append(f"`optimizer` counts {sorted(updates)} updates")
        return AdamMoments(
            max(updates), self._moment(named, "exp_avg"), self._moment(named, "exp_avg_sq")
        )

    def _moment(self, states: Mapping[str, Mapping[str, Any]], key: str) -> PyTree:
        """Returns one moment; unused parameters have none."""
        values = {name: np.zeros_like(value) for name, value in self._untrained.items()}
        values |= {name: state[key] for name, state in states.items() if key in state}
        used = {name: slot for name, slot in self.slots.items() if slot.path is not None}
        return gather(f"`optimizer` {key}", values, used, self.problems)

    def _check_noise_levels(self, found: Any, expected: np.ndarray) -> None:
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
    params, average = flatten_dict(state.params), flatten_dict(state.ema_params)
    states = {}
    if state.moments is not None:
        mean, mean_square = map(flatten_dict, state.moments[1:])
        states = {
            place: {
                "step": np.asarray(state.moments.updates, np.float32),
                "exp_avg": tensor.to_torch(mean),
                "exp_avg_sq": tensor.to_torch(mean_square),
            }
            for place, tensor in enumerate(layout)
            if tensor.trainable and tensor.path is not None
        }
    named = {PREFIX + tensor.torch_name: tensor.to_torch(params) for tensor in layout}
    settings = adam_settings(model, state.step)
    return {
        "optimizer": {
            "state": states,
            "param_groups": [{**settings, "params": [*range(len(layout))]}],
        },
        "model": OrderedDict({PREFIX + "sigmas": noise_levels(model), **named}),
        "ema": {
            "decay": model.ema_rate,
            "num_updates": state.step,
            "shadow_params": [tensor.to_torch(average) for tensor in layout if tensor.trainable],
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
