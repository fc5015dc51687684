"""Commands under the flags of JAX for debugging: no false alarm."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import tiny

from sde_jax.nets.embedding import LabelEmbedding
from sde_jax.score import ClassifierModel, ClassLogProbability
from sde_jax.sde import VP

SCRIPT = """
import sys
from sde_jax.command_line.main import main

experiment, run = sys.argv[1:]
once = ["--training.batch-size", "2", "--training.eval-examples", "2", "--training.steps", "1"]
for command in (
    ["train", experiment, "--workdir", run, *once],
    ["sample", run, "--count", "1", "--sampler", "unipc", "--steps", "3", "--grid", "log-snr"],
    ["sample", run, "--count", "1", "--sampler", "ode", "--tolerance", "0.5"],
    ["sample", run, "--count", "1", "--sampler", "shark", "--tolerance", "0.5"],
    ["likelihood", run, "--count", "1", "--tolerance", "0.5"],
    ["edit", run, "--task", "inpaint", "--demo", "--images", "1", "--count", "1", "--steps", "3"],
):
    assert main(command) == 0, command
"""


@pytest.mark.slow("test_no_label_is_no_alarm")
@pytest.mark.parametrize("flag", ["JAX_DEBUG_NANS", "JAX_DISABLE_JIT", "JAX_ENABLE_X64"])
def test_commands(tmp_path, flag):
    one_device = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=1"
    environment = {**os.environ, "XLA_FLAGS": one_device, flag: "1"}
    command = [sys.executable, "-c", SCRIPT, tiny("digits"), str(tmp_path / "run")]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


class Even:
    """A classifier for which all classes are equally likely."""

    def apply(self, variables, x, time, **_):
        return type("Outputs", (), {"logits": jnp.zeros((len(x), 4))})


def test_an_unknown_class_alone_is_an_alarm():
    model = ClassifierModel(network=Even(), sde=VP())
    x, t = jnp.ones((2, 3)), jnp.asarray(0.5)
    with jax.debug_nans(True), jax.disable_jit():
        known = ClassLogProbability({}, jnp.asarray([0, 3]), model)(x, t)
        np.testing.assert_allclose(known, -np.log(4), rtol=1e-6)
        with pytest.raises(FloatingPointError):
            ClassLogProbability({}, jnp.asarray([0, 4]), model)(x, t)


def test_no_label_is_no_alarm():
    embedding = LabelEmbedding(classes=3)
    params = embedding.init(jax.random.key(0), jnp.ones((2, 4)), jnp.asarray([0, 2]))
    with jax.debug_nans(True), jax.disable_jit():
        out = embedding.apply(params, jnp.ones((2, 4)), jnp.asarray([-1, -1]))
    np.testing.assert_array_equal(out, 1)
