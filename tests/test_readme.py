"""What the README says, it does."""

import re
from pathlib import Path

import pytest

from sde_jax.sde import LinearSDE

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
IMPORTS = ("from", "import")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run(block: str) -> dict:
    namespace: dict = {"__name__": "readme"}
    exec(compile(block, "README.md", "exec"), namespace)
    return namespace


def block_with(text: str) -> str:
    (block,) = (block for block in BLOCKS if text in block)
    return block


def test_library_example_runs_in_fifteen_lines(capsys):
    block = block_with("EulerMaruyama")
    result = run(block)
    assert len([line for line in block.splitlines() if line]) == 15
    # The mixture's mean is 0.3 * (-1, 0.5) + 0.7 * (1, 0), that of 1000 has an error of .03.
    assert result["samples"].x.mean(axis=0) == pytest.approx([0.4, 0.15], abs=0.15)
    assert "501" in capsys.readouterr().out


def test_two_halves_are_as_far_apart_as_the_finite_sample_bias():
    distance = run(block_with("StreamingMoments"))["distance"]
    # 64 dimensions, 1000 images each: 64 * 69 / 2000, of which a draw is off by .06.
    assert distance.bias == pytest.approx(2.21, rel=0.1)
    assert distance.value == pytest.approx(2.21, abs=0.25)


def test_any_denoiser_draws_what_it_was_made_for(capsys):
    samples = run(block_with("DenoiserScore"))["samples"]
    # Of 10,000, with errors of .004 and .003.
    assert samples.x.mean() == pytest.approx(0.7, abs=0.02)
    assert samples.x.std() == pytest.approx(0.4, abs=0.015)
    assert "in 21 evaluations" in capsys.readouterr().out


def test_a_measurement_guides_as_far_as_its_method_can():
    samples = run(block_with("PiGDM("))["samples"]
    # The exact recursion of PiGDM, of 10,000 samples, not the posterior's .900 and .436.
    assert samples.x.mean(axis=0) == pytest.approx([1.0, 0.854], abs=0.025)
    assert samples.x.std(axis=0) == pytest.approx([0.01, 0.463], abs=0.025)


@pytest.mark.parametrize(("text", "name"), [("Stripes", "stripes"), ("PlainSpec", "plain_ring")])
def test_own_experiment_builds_a_learner_in_under_twenty_lines(text, name):
    import jax

    block = block_with(text)
    assert len([line for line in block.splitlines() if line]) < 20
    experiment = run(block)[name]()
    source = experiment.data.load()
    experiment.check_data(source)
    state = jax.eval_shape(experiment.learner(source.shape).init, jax.random.key(0))
    assert jax.tree.leaves(state.params)


def test_own_sde_is_one_in_under_twenty_lines():
    import jax.numpy as jnp

    block = block_with("ConstantVP")
    lines = [
        line for line in block.splitlines() if line and not line.startswith(("from", "import"))
    ]
    assert len(lines) < 20
    sde = run(block)["ConstantVP"]()
    assert isinstance(sde, LinearSDE)
    assert sde.time_of(sde.noise_to_signal(jnp.asarray(0.3))) == pytest.approx(0.3, rel=1e-5)


def test_continuous_integration_runs_the_test_command_of_the_readme():
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(commands) == 2
    assert commands[1] in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("path", re.findall(r"\]\((?!http)([^)]+)\)", README))
def test_files_that_it_points_to_are_there(path):
    name, _, heading = path.partition("#")
    assert (ROOT / name).is_file()
    assert f"## {heading}" in (ROOT / name).read_text().lower() if heading else True
