"""The checkpoints of score_sde, of Flax and of PyTorch, and the training state in our layout."""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import serialization
from flax.traverse_util import flatten_dict

from sde_jax.arrays import PyTree
from sde_jax.interop.errors import CheckpointFileError
from sde_jax.interop.gathering import Slot, gather, without_prefix
from sde_jax.interop.layout import PublishedTensor
from sde_jax.interop.published_model import PublishedModel

LARGEST_COUNT = 2**31 - 1
"""The largest number of updates that a training state can count."""


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
        count = np.asarray(value).item()
        counts = isinstance(count, int | float) and not isinstance(count, bool)
        if not counts or not 0 <= count <= LARGEST_COUNT or count % 1:
            self.problems.append(
                f"the number {name} is {count!r}: it must be a whole number from 0 to "
                f"{LARGEST_COUNT}"
            )
            return 0
        return int(count)


def read_flax_file(path: str | PathLike[str]) -> dict[str, Any]:
    """Returns the saved value: nested dicts by names, numbers, strings, unchunked arrays.

    Raises:
      CheckpointFileError: if the file has another format or is damaged.
      OSError: if there is no such file.
    """
    data = Path(path).read_bytes()
    try:
        content = serialization.msgpack_restore(data)
    # A damaged file can make msgpack and flax raise any error.
    except Exception as error:
        raise CheckpointFileError(
            path, f"it is no msgpack file of Flax, or damaged: {error}"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointFileError(path, "it is no msgpack file of Flax: it holds no dict")
    return content


class FlaxCheckpoint(Checkpoint):
    """The dict of ``step``, ``optimizer``, ``params_ema`` and unused entries.

    `optimizer` contains the parameters as `target`, and `state` with their moments.
    """

    def __init__(self, content: Mapping[str, Any], layout: Sequence[PublishedTensor]) -> None:
        used = (tensor for tensor in layout if tensor.path is not None)
        super().__init__(content, {"/".join(t.flax_path): t.flax_slot for t in used})
        self.params = self.tree("`optimizer.target`", named(self.part("optimizer", "target")))

    def ema_params(self) -> PyTree:
        """Returns the running average of the parameters."""
        return self.tree("`params_ema`", named(self.part("params_ema")))

    def moments(self) -> AdamMoments | None:
        """Returns the state of Adam."""
        updates = self.part("optimizer", "state").get("step")
        states = named(self.part("optimizer", "state", "param_states"))

        def moment(key: str) -> PyTree:
            ending = f"/{key}"
            values = {
                name.removesuffix(ending): value
                for name, value in states.items()
                if name.endswith(ending)
            }
            return self.tree(f"`optimizer` {key}", values)

        return AdamMoments(
            self.number(updates, "of updates"), moment("grad_ema"), moment("grad_sq_ema")
        )


def named(part: Mapping[Any, Any]) -> dict[str, Any]:
    """Returns the leaves of nested dicts by names like ``Conv_0/kernel``."""
    return {"/".join(map(str, path)): leaf for path, leaf in flatten_dict(part).items()}


PREFIX = "module."
"""The prefix of every name under `model` in our files and the published ones, from DataParallel."""

MODEL_KEYS = ("model", "state_dict", "model_state_dict")
"""The names of the dict of parameters in files; that dict may also be the whole content."""


class TorchCheckpoint(Checkpoint):
    """The dict of ``optimizer``, ``model``, ``ema`` and ``step``, or of the parameters alone.

    `model` contains every parameter by name, and the noise levels `sigmas`. `ema` is a list of the
    trained parameters, or has them by name. `optimizer` numbers all parameters and has entries for
    the trained ones. All but the parameters may be missing.
    """

    def __init__(
        self,
        content: Mapping[str, Any],
        model: PublishedModel,
        layout: Sequence[PublishedTensor],
    ) -> None:
        super().__init__(content, {tensor.torch_name: tensor.torch_slot for tensor in layout})
        self.layout = layout
        named = without_prefix(self._tensors(), self.slots)
        if "sigmas" in named:
            self._check_noise_levels(named.pop("sigmas"), noise_levels(model))
        self.params = self.tree("`model`", named)
        self._untrained = {
            tensor.torch_name: named[tensor.torch_name]
            for tensor in layout
            if not tensor.trainable and tensor.torch_name in named
        }

    @property
    def step(self) -> int:
        """Updates made; 0 in a file without them."""
        return super().step if "step" in self.content else 0

    def _tensors(self) -> Mapping[Any, Any]:
        """Returns the parameters by their names in the file."""
        key = next((key for key in MODEL_KEYS if key in self.content), None)
        if key is None and any(isinstance(value, np.ndarray) for value in self.content.values()):
            return self.content
        return self.part(key or MODEL_KEYS[0])

    def ema_params(self) -> PyTree:
        """Returns the running average of the parameters, or themselves in a file without it.

        Untrained ones are unchanged.
        """
        if "ema" not in self.content:
            return self.params
        part = self.part("ema")
        average = part.get("shadow_params")
        if average is None and any(isinstance(value, np.ndarray) for value in part.values()):
            named = without_prefix(part, self.slots)
            named.pop("sigmas", None)
            return self.tree("`ema`", self._untrained | named)
        trained = [tensor.torch_name for tensor in self.layout if tensor.trainable]
        count = len(average) if isinstance(average, list) else 0
        if not isinstance(average, list) or count != len(trained):
            self.problems.append(f"`ema` has {count} tensors, not {len(trained)}")
            return {}
        return self.tree("`ema`", self._untrained | dict(zip(trained, average, strict=True)))

    def moments(self) -> AdamMoments | None:
        """Returns the state of Adam, zero for untrained parameters; None in a file without it."""
        states = self.part("optimizer", "state") if "optimizer" in self.content else {}
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
        """Adds a problem unless the levels are those of the model, up to the rounding of a type."""
        floating = isinstance(found, np.ndarray) and jnp.issubdtype(found.dtype, jnp.floating)
        if not floating or found.ndim != 1 or not found.size:
            self.problems.append(f"`model` lacks sigmas, {described(expected)}")
            return
        rounding = max(1e-5, float(jnp.finfo(found.dtype).eps))
        found = found.astype(np.float64)
        if found.shape != expected.shape or not np.allclose(found, expected, rtol=rounding):
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
