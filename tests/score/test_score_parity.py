"""Published networks read as scores, under every process and label that they are legal with."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from published import READINGS, relative_error, score_of

NETWORKS = [
    "nets/vp_ddpm_disc",
    "nets/grid/biggan_fir0_none_positional_sbs0",
    "nets/grid/biggan_fir1_residual_positional_sbs1",
    "nets/tiny_ve_ncsnpp",
    "nets/ve_ncsnpp_disc",
]


@pytest.mark.slow(
    "tests/score/test_network_score.py::test_outputs_are_read_as_the_published_scores"
)
@pytest.mark.parametrize("name", NETWORKS)
def test_scores(name, parity):
    """To 1e-4 of each example, for they differ by orders of magnitude."""
    file = parity(name)
    meta = json.loads(str(file["meta"]))
    x, t = jnp.asarray(file["A/x"].transpose(0, 2, 3, 1)), jnp.asarray(file["A/t"])
    assert set(meta["score_keys"]) <= set(READINGS)
    for reading in meta["score_keys"]:
        evaluate = jax.jit(lambda score, x, t: score(x, t))
        score = np.asarray(evaluate(score_of(file, meta, reading), x, t)).transpose(0, 3, 1, 2)
        error = relative_error(score, file[f"A/score/{reading}"], by_example=True)
        assert error <= 1e-4, reading
