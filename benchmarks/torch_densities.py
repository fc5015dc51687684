"""PyTorch as a peer: log densities of an exact score by flow_matching and by zuko."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Drift(torch.nn.Module):
    """The drift of VP's probability flow for a mixture of Gaussians."""

    def __init__(self, parameters: Any) -> None:
        super().__init__()
        arrays, self.beta_min, self.beta_max, self.t_min = parameters
        weights, self.means, self.variances = map(torch.from_numpy, arrays)
        self.log_weights = weights.log()

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Returns the drift of ``x [batch, dimension]`` at one time."""
        beta = self.beta_min + t * (self.beta_max - self.beta_min)
        exponent = -(t**2) * (self.beta_max - self.beta_min) / 4 - t * self.beta_min / 2
        alpha, noise = exponent.exp(), -torch.expm1(2 * exponent)
        variances = alpha**2 * self.variances + noise
        residuals = (alpha * self.means - x[:, None]) / variances
        logits = -(residuals**2 * variances + variances.log()).sum(-1) / 2
        shares = torch.softmax(self.log_weights + logits, -1)
        score = (shares[..., None] * residuals).sum(1)
        return -beta / 2 * (x + score)


def log_normal(x: Tensor) -> Tensor:
    """Returns the log density of unit noise."""
    return -(x**2 + math.log(2 * math.pi)).sum(-1) / 2


def flow_matching(drift: Drift, x: Tensor, tolerance: float) -> Tensor:
    """Returns log densities by flow_matching, whose data are at time 1 and noise at 0."""
    from flow_matching.solver import ODESolver

    length = 1 - drift.t_min

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        return -length * drift(x, 1 - length * t)

    _, nats = ODESolver(velocity_model=velocity).compute_likelihood(
        x.clone(),
        log_normal,
        step_size=None,
        method="dopri5",
        atol=tolerance,
        rtol=tolerance,
        exact_divergence=True,
    )
    return nats


def zuko(drift: Drift, x: Tensor, tolerance: float) -> Tensor:
    """Returns log densities by zuko."""
    from zuko.transforms import FreeFormJacobianTransform

    transform = FreeFormJacobianTransform(
        lambda t, x: drift(x, t), drift.t_min, 1.0, atol=tolerance, rtol=tolerance, exact=True
    )
    with torch.no_grad():
        latent, log_slope = transform.call_and_ladj(x)
    return log_normal(latent) + log_slope


LIBRARIES: dict[str, Callable[[Drift, Tensor, float], Tensor]] = {
    "flow_matching": flow_matching,
    "zuko": zuko,
}


def loosest(
    library: str,
    parameters: Any,
    x: np.ndarray,
    reference: np.ndarray,
    tolerances: Sequence[float],
    largest_error: float,
) -> tuple[str, Callable[[], Tensor]]:
    """Returns the error and setting of the loosest tolerance that is good enough, and its call.

    Raises:
      ValueError: if none is.
    """
    drift, points = Drift(parameters), torch.from_numpy(x)
    for tolerance in tolerances:
        nats = LIBRARIES[library](drift, points, tolerance)
        error = float(np.sqrt(((nats.double().numpy() - reference) ** 2).mean()))
        if error <= largest_error:
            solve = functools.partial(LIBRARIES[library], drift, points, tolerance)
            return f"{error:.1e} at {tolerance:.2g}", solve
    raise ValueError(f"no tolerance reaches {largest_error}: {error:.1e} at {tolerance}")
