"""Samples that each answer a question of their own."""

import jax
import numpy as np
import pytest
from cases import SDES, gaussian, keys

from sde_jax.ode import AdaptiveSolver
from sde_jax.sampling import Ancestral, PredictorCorrector, ProbabilityFlow, UniformGrid, draw_each
from sde_jax.score import MixtureScore

SDE = SDES["vp"]
SAMPLERS = {
    "ancestral": PredictorCorrector(grid=UniformGrid(steps=8), predictor=Ancestral()),
    # The errors of its steps are far above those of rounding, so all agree on which to accept.
    "adaptive": ProbabilityFlow(solver=AdaptiveSolver(rtol=1e-3, atol=1e-3)),
}


@pytest.mark.parametrize("name", ["ancestral", pytest.param("adaptive", marks=pytest.mark.slow)])
def test_each_is_drawn_as_if_alone(name, key):
    """A question here is a shift of the data's distribution, of which the sampler is not told."""
    sampler, score = SAMPLERS[name], MixtureScore(gaussian(3), SDE)

    def draw(key, question):
        shift = question["shift"]
        assert key.shape == (1,) and shift.shape == (1, 3)
        return sampler(key, lambda x, t: score(x - SDE.alpha(t) * shift, t), SDE, (3,))

    shifts = np.arange(12, dtype=np.float32).reshape(4, 3)
    drawn = jax.jit(lambda keys: draw_each(draw, keys, {"shift": shifts}))(keys(key, 4))
    compiled = jax.jit(draw)
    alone = [compiled(keys(key, 4)[i : i + 1], {"shift": shifts[i : i + 1]}) for i in range(4)]
    x, nfe = (np.concatenate([getattr(one, name) for one in alone]) for name in ("x", "nfe"))
    np.testing.assert_allclose(drawn.x, x, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(drawn.nfe, nfe)
    assert drawn.converged.shape == (4,)
    assert drawn.trajectory is None
