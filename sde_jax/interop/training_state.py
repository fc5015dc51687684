"""The training state of a published run in our layout."""

from typing import NamedTuple

from sde_jax.arrays import PyTree

__all__ = ["AdamMoments", "PublishedState"]


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
