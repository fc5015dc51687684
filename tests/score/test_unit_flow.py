"""The flow in unit coordinates: the probability flow by the chain rule, and its invariance."""

import jax
import jax.numpy as jnp
import numpy as np
from cases import SDES, each_sde, plane_mixture

from sde_jax.score import MixtureScore, UnitFlow
from sde_jax.sde import probability_flow_drift

X = jnp.asarray([0.4, -0.7])


@each_sde
def test_the_chain_rule_leads_back_to_the_flow_in_t(sde):
    """``dx/dt = rho dz/du du/dt + x (log rho)'`` with ``(log rho)' = a + g^2 / (2 rho^2)``."""
    with jax.enable_x64(True):
        mixture = jax.tree.map(jnp.float64, plane_mixture())
        flow, x = UnitFlow(MixtureScore(mixture, sde), sde), jnp.float64(X)

        @jax.jit
        def both(t):
            scale, pace = flow.scale(t), jax.grad(flow.angle)(t)
            velocity = flow.velocity(flow.angle(t), x / scale)
            growth = sde.drift_rate(t) + sde.diffusion_squared(t) / (2 * scale**2)
            found = scale * pace * velocity + growth * x
            return found, probability_flow_drift(sde, x[None], t, flow.score(x[None], t))[0]

        for t in (1e-3, 0.1, 0.5, 0.9):
            found, expected = both(t)
            np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_all_processes_have_the_same_flow():
    angle = jnp.asarray(0.6)
    velocities = [
        jax.jit(UnitFlow(MixtureScore(plane_mixture(), sde), sde).velocity)(angle, X)
        for sde in (SDES["vp"], SDES["ve"], SDES["subvp"])
    ]
    np.testing.assert_allclose(velocities[1:], [velocities[0]] * 2, rtol=1e-4)
    assert np.abs(velocities[0]).min() > 0.05


def test_a_point_mass_turns_about_the_origin():
    """The flow of one point x0 is ``z = cos(a) x0 + sin(a) noise`` with ``tan a = tan^2 u``."""
    sde, point, noise = SDES["vp"], jnp.asarray([0.3, 0.8]), jnp.asarray([-1.1, 0.5])

    def score(x, t):
        return (sde.alpha(t) * point[None] - x) / sde.sigma(t) ** 2

    def state(angle):
        turned = jnp.arctan(jnp.tan(angle) ** 2)
        return jnp.cos(turned) * point + jnp.sin(turned) * noise

    angle = jnp.asarray(0.5)
    z, expected = jax.jvp(state, (angle,), (jnp.ones(()),))
    found = jax.jit(UnitFlow(score, sde).velocity)(angle, z)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
