"""What a published run carries from one step to the next, in our layout."""

from typing import NamedTuple

from sde_jax.arrays import PyTree

__all__ = ["AdamMoments", "PublishedState"]


class AdamMoments(NamedTuple):
    """The state of Adam; trees like the parameters."""

    updates: int
    """Updates made with them."""
    mean: PyTree
    """Running mean of the gradients."""
    mean_square: PyTree
    """Running mean of their squares."""


class PublishedState(NamedTuple):
    """A run of score_sde after ``step`` updates; the trees hold float32 arrays of numpy."""

    step: int
    """Updates made."""
    params: PyTree
    """What is being optimized."""
    ema_params: PyTree
    """Its running average."""
    moments: AdamMoments | None
    """The optimizer's state; None where there is none, as before the first update."""
