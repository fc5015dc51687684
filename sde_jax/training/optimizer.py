"""Adam with warm-up, clipping by the global norm, and decay of the learning rate."""

import dataclasses
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import optax

from sde_jax.arrays import Array, PyTree
from sde_jax.validation import FINITE, Only, Positive, Rule, Spec, at_least

_CLIPS = Rule("be positive, or None for no clipping", lambda norm: norm > 0)
_CLIPPING = Only("`clip_norm` is set", lambda adam: adam.clip_norm is not None)
_WARMING = Only("`warmup_steps` is positive", lambda adam: adam.warmup_steps > 0)
Decay = Annotated[float, Rule("lie in [0, 1)", lambda decay: 0 <= decay < 1)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adam(Spec):
    """Adam (Kingma and Ba 2015) with gradients clipped by their global norm.

    The learning rate of step ``n = 0, 1, ...`` is ``learning_rate * d(n) * min((n + warmup_start) /
    warmup_steps, 1)``, where ``d`` is 1, or for "cosine" ``(1 + cos(pi p)) / 2`` with ``p`` from 0
    at the end of the warm-up to 1 at ``total_steps``. Gradients ``g`` of norm ``|g|`` are scaled by
    ``min(clip_norm / (|g| + clip_eps), 1)``.
    """

    learning_rate: Annotated[float, FINITE] = 2e-4
    """Step size after the warm-up."""

    warmup_steps: Annotated[int, at_least(0)] = 0
    """Steps over which the learning rate rises linearly; 0: none."""

    warmup_start: Annotated[Literal[0, 1], _WARMING] = 1
    """Number of the first step in the warm-up. With 0, as published, its learning rate is zero."""

    decay: Literal["constant", "cosine"] = "constant"
    """Learning rate after the warm-up: constant, or falling to zero at the last step."""

    clip_norm: Annotated[float | None, _CLIPS] = 1.0
    """Largest norm of all gradients as one vector; longer ones are scaled down. None: no limit."""

    clip_eps: Annotated[float, at_least(0), _CLIPPING] = 0.0
    """Added to the norm when gradients are clipped: 1e-6 in PyTorch, 0 in JAX."""

    b1: Decay = 0.9
    """Decay of the mean of the gradients."""

    b2: Decay = 0.999
    """Decay of the mean of their squares."""

    adam_eps: Positive = 1e-8
    """Added to the root of the mean of squares."""

    def schedule(self, total_steps: int) -> optax.Schedule:
        """Returns the learning rate as a function of the number of completed steps."""
        decaying_steps = max(total_steps - self.warmup_steps, 1)
        first = self.warmup_start if self.warmup_steps else 1

        def learning_rate(step: Array) -> Array:
            rise = jnp.minimum((step + first) / max(self.warmup_steps, 1), 1.0)
            if self.decay == "constant":
                return self.learning_rate * rise
            progress = jnp.clip((step - self.warmup_steps) / decaying_steps, 0.0, 1.0)
            return self.learning_rate * rise * 0.5 * (1 + jnp.cos(jnp.pi * progress))

        return learning_rate

    def build(self, total_steps: int) -> optax.GradientTransformation:
        """Builds the optimizer of a run of ``total_steps``; its state has the ``learning_rate``."""
        adam = optax.inject_hyperparams(optax.adam, static_args=("b1", "b2", "eps", "eps_root"))(
            learning_rate=self.schedule(total_steps), b1=self.b1, b2=self.b2, eps=self.adam_eps
        )
        if self.clip_norm is None:
            return adam
        return optax.chain(optax.stateless(self._clip), adam)

    def _clip(self, gradients: PyTree, params: PyTree | None) -> PyTree:
        norm = optax.tree.norm(gradients) + self.clip_eps
        factor = jnp.minimum(self.clip_norm / norm, 1.0)
        return jax.tree.map(lambda gradient: gradient * factor, gradients)
