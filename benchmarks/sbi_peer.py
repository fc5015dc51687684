"""sbi as a peer: posteriors of a simulator by NPSE and FMPE, at its defaults."""

import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import torch


def posterior_sampler(
    method: str,
    bounds: tuple[tuple[float, ...], tuple[float, ...]],
    parameters: np.ndarray,
    simulations: np.ndarray,
    observations: np.ndarray,
    count: int,
) -> tuple[str, Callable[[], tuple[np.ndarray, float]]]:
    """Returns the peer's name, and a function that trains and samples.

    Args:
      method: NPSE or FMPE.
      bounds: lower and upper bounds of the uniform prior.
      parameters: parameters of the simulations, ``[simulations, dimensions]``.
      simulations: their simulations, ``[simulations, size]``.
      observations: the simulations whose posteriors are sampled, ``[observations, size]``.
      count: number of samples of each posterior.

    Returns:
      The function returns the samples, ``[observations, count, dimensions]``, and the seconds of
      CPU time that it took.
    """
    import sbi.inference
    from sbi.utils import BoxUniform

    tensors = [torch.as_tensor(x, dtype=torch.float32) for x in (parameters, simulations)]
    seen = torch.as_tensor(observations, dtype=torch.float32)
    prior = BoxUniform(*map(torch.tensor, bounds))

    def samples() -> tuple[np.ndarray, float]:
        torch.manual_seed(0)
        started = time.process_time()
        inference: Any = getattr(sbi.inference, method)(prior=prior)
        inference.append_simulations(*tensors).train()
        posterior = inference.build_posterior()
        drawn = [posterior.sample((count,), x=x, show_progress_bars=False) for x in seen]
        return torch.stack(drawn).numpy(), time.process_time() - started

    return f"{method} of sbi {version('sbi')}", samples
