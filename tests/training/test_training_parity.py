"""Four training steps of the published implementation, with its own batches, times and noise."""

import functools
import json
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from published import leaves_of, our_leaf, score_of

from sde_jax.arrays import Array
from sde_jax.objectives import DenoisingScoreMatching
from sde_jax.training import Adam, gradient_learner

T_MIN = 1e-5


class StoredBatch(NamedTuple):
    x: Array
    t: Array
    noise: Array


def batch_of(file, step):
    """A batch with the times and the noise that it was given."""
    x, noise = (file[name][step].transpose(0, 2, 3, 1) for name in ("batches", "z"))
    return StoredBatch(x, file["u"][step] * (1 - T_MIN) + T_MIN, noise)


def learner_of(meta, score):
    """The published settings: the sum of squares, a warm-up from zero, PyTorch's clipping."""
    assert not meta["likelihood_weighting"]
    reduction = "mean" if meta["reduce_mean"] else "half_sum"
    objective = DenoisingScoreMatching(model=score.model, reduction=reduction)

    def losses(params, seeds, batch, *, deterministic):
        return objective.losses_at(params, batch.x, batch.t, batch.noise)

    optimizer = Adam(
        learning_rate=meta["optim"]["lr"],
        warmup_steps=meta["optim"]["warmup"],
        warmup_start=0,
        clip_norm=meta["optim"]["grad_clip"],
        clip_eps=1e-6,
    ).build(meta["steps"])
    params = jax.tree.map(jnp.asarray, score.params)
    return gradient_learner(lambda key: params, losses, optimizer, ema_decay=meta["ema_rate"])


@pytest.mark.slow(
    "tests/training/test_optimizer.py::test_steps_are_those_of_adam_with_the_global_norm_clipped"
)
@pytest.mark.parametrize("name", ["vp", "ve"])
def test_four_steps(name, parity):
    """Losses, norms, learning rates; clipped gradients; and parameters and averages at the end."""
    file = parity(f"train/{name}")
    meta = json.loads(str(file["meta"]))
    stored = parity(meta["net"].removesuffix(".npz"))
    network = json.loads(str(stored["meta"]))
    learner = learner_of(meta, score_of(stored, network, f"{name}_cont"))
    update, key = jax.jit(learner.update), jax.random.key(0)
    states, metrics = [learner.init(key)], []
    for step in range(meta["steps"]):
        state, metric = update(states[-1], key, batch_of(file, step))
        states, metrics = [*states, state], [*metrics, metric]
    for ours, theirs in [
        ("loss", "losses"),
        ("grad_norm", "grad_norm_before_clip"),
        ("learning_rate", "lr"),
    ]:
        np.testing.assert_allclose([metric[ours] for metric in metrics], file[theirs], rtol=1e-5)
    clipped = jax.tree.map(lambda mean: mean / 0.1, optax.tree.get(states[1].opt_state, "mu"))
    leaves = leaves_of(stored, network)
    frozen = {path for path in leaves if path[-1] == "W"}
    # a gradient of nothing but rounding moves its parameter, too: by 1e-6
    for tree, prefix, tolerance in [
        (clipped, "grad_clipped_step0", 1e-6),
        (states[-1].params, "param_after", 5e-6),
        (states[-1].ema_params, "ema_after", 5e-6),
    ]:
        for path in leaves.keys() - frozen:
            leaf, _ = leaves[path]
            ours = functools.reduce(lambda node, layer: node[layer], path, tree)
            _, theirs = our_leaf(leaf.split(".")[-1], file[f"{prefix}/{leaf}"])
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=tolerance, err_msg=leaf)
