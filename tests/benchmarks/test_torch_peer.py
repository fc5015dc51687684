"""Tests of the PyTorch network, if PyTorch is installed (the extra `benchmark`)."""

import dataclasses
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.ddpmpp import Size, example_inputs
from sde_jax.nets import NCSNppSpec

with warnings.catch_warnings(action="ignore"):
    torch = pytest.importorskip("torch")

from benchmarks import network, torch_peer
from benchmarks.torch_ddpmpp import TorchDDPMpp, weights_of

pytestmark = pytest.mark.filterwarnings("ignore")

SPEC = NCSNppSpec(channels=8, multipliers=(1, 2), blocks_per_level=1, attention_resolutions=(4,))
TINY = Size("tiny", SPEC, 8)


@pytest.fixture(autouse=True)
def one_thread():
    """Limits PyTorch to one thread; those of other tests would make its threads wait."""
    torch.set_num_threads(1)


@pytest.mark.parametrize("attention", [(), (8, 4)])
def test_network_with_our_weights_has_our_outputs(attention):
    size = TINY._replace(spec=dataclasses.replace(SPEC, attention_resolutions=attention))
    inputs = example_inputs(size, 3)
    ours = size.spec.build().apply({"params": inputs.params}, inputs.x, inputs.time)
    for variant in torch_peer.variants():
        theirs = torch_peer.evaluation(variant, size, inputs)()
        np.testing.assert_allclose(theirs.cpu(), ours, atol=2e-5)


def test_every_weight_is_ours():
    params = example_inputs(TINY, 1).params
    peer = TorchDDPMpp(SPEC, 8, 3)
    weights = weights_of(params, peer)
    assert set(weights) == set(peer.state_dict())
    assert sum(w.numel() for w in weights.values()) == sum(p.size for p in jax.tree.leaves(params))


def test_another_network_is_refused():
    with pytest.raises(ValueError, match="the spec must be"):
        TorchDDPMpp(NCSNppSpec(channels=8, embedding="fourier"), 8, 3)


def test_gradients_agree_and_a_wrong_one_does_not():
    assert "differ" in network.check_gradient(TINY)
    params, noise, _ = example_inputs(TINY, 4)
    zero = jax.tree.map(jnp.zeros_like, params)
    t = jnp.linspace(0.1, 0.9, 4)
    found = torch_peer.gradient_difference(TINY, zero, params, noise, t, noise)
    assert found == pytest.approx(1.0)


def test_training_step_lowers_the_loss():
    x0 = network.noise_images(TINY, 8).x
    params = example_inputs(TINY, 1).params
    (variant, *_) = torch_peer.variants()
    torch.manual_seed(0)
    step = torch_peer.training_step(variant, TINY, params, x0)
    losses = [float(step()) for _ in range(60)]
    assert np.mean(losses[-20:]) < 0.9 * np.mean(losses[:20])
