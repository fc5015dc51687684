"""Settings without effect: they are named before a run begins."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax

from sde_jax.arrays import PRNGKeyArray
from sde_jax.nets import NetworkSpec, UNetSpec
from sde_jax.recipes.trainable import Trainable
from sde_jax.training.learner import Learner, TrainState


class Inspected(NamedTuple):
    """A learner, as its initialization shows it."""

    state: TrainState
    """Shapes and types of the initial state."""
    padding: list[str]
    """A line for each size that a network pads inside."""


def inspect(learner: Learner, *, check: bool = True) -> Inspected:
    """Traces the initialization of a learner once, and looks at its networks.

    Raises:
      ValueError: with ``check``, if a network is to attend at a size that none of its levels has.
    """
    lines: list[str] = []

    def intercept(call: Any, args: Any, options: Mapping[str, Any], context: Any) -> Any:
        spec = getattr(context.module, "spec", None)
        if isinstance(spec, NetworkSpec) and context.method_name == "__call__":
            shape = args[0].shape[1:]
            if check and isinstance(spec, UNetSpec):
                check_attention(spec, max(spec.padded(shape)[:-1]))
            old, new = (" x ".join(map(str, sizes[:-1])) for sizes in (shape, spec.padded(shape)))
            line = f"the network pads {old} to {new} inside, and crops its output"
            if old != new and line not in lines:
                lines.append(line)
        return call(*args, **options)

    def init(key: PRNGKeyArray) -> TrainState:
        """A new function each time, so that JAX runs it again."""
        return learner.init(key)

    with nn.intercept_methods(intercept):
        return Inspected(jax.eval_shape(init, jax.random.key(0)), lines)


def check_attention(spec: Any, size: int) -> None:
    """Raises ValueError if no level of a U-Net has one of the sizes at which it is to attend."""
    sizes = [size >> level for level in range(len(spec.multipliers))]
    wanted = spec.attention_resolutions
    if not {*wanted} <= {*sizes}:
        raise ValueError(
            "`attention_resolutions` must be some of the sizes of the levels, "
            f"{', '.join(map(str, sizes))}, or none: got {', '.join(map(str, wanted))}."
        )


def late_settings(experiment: Trainable) -> list[str]:
    """Returns a line for each setting that takes effect after the last step alone."""
    training, found = experiment.training, []
    if experiment.optimizer.warmup_steps > training.steps:
        found.append(
            f"`optimizer.warmup_steps`={experiment.optimizer.warmup_steps} is more than "
            f"`training.steps`={training.steps}: the learning rate does not reach its value."
        )
    if training.eval_every > training.steps:
        best = ", and `keep_best` keeps that one" if training.keep_best else ""
        found.append(
            f"`training.eval_every`={training.eval_every} is more than `training.steps`="
            f"{training.steps}: the held-out loss is measured after the last step alone{best}."
        )
    return found
