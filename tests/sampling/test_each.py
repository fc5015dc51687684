"""Samples that each answer a question of their own."""

import jax
import jax.numpy as jnp
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


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS.keys())
def test_each_is_drawn_as_if_alone(sampler, key):
    """A question here is a shift of the data's distribution, of which the sampler is not told."""
    score = MixtureScore(gaussian(3), SDE)

    def draw(key, question):
        shift = question["shift"]
        assert key.shape == (1,) and shift.shape == (1, 3)
        return sampler(key, lambda x, t: score(x - SDE.alpha(t) * shift, t), SDE, (3,))

    shifts = jnp.arange(12.0).reshape(4, 3)
    drawn = jax.jit(lambda keys: draw_each(draw, keys, {"shift": shifts}))(keys(key, 4))
    alone = [draw(keys(key, 4)[i : i + 1], {"shift": shifts[i : i + 1]}) for i in range(4)]
    np.testing.assert_allclose(drawn.x, [one.x[0] for one in alone], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(drawn.nfe, [one.nfe[0] for one in alone])
    assert drawn.converged.shape == (4,)
    assert drawn.trajectory is None
