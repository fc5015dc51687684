"""The names of the package: all there, imported when they are used, and known to type checkers."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import sde_jax

ROOT = Path(__file__).parents[2]
NEEDED = [
    *(
        "VP",
        "SubVP",
        "VE",
        "CosineVP",
        "OrnsteinUhlenbeck",
        "FlowMatching",
        "fit",
        "open_run",
        "train",
    ),
    *("NetworkScore", "MixtureScore", "GaussianMixture", "DenoiserScore", "Likelihood"),
    *("Hutchinson", "ExactTrace", "bits_per_dimension", "PredictorCorrector", "ExponentialAdams"),
    *("ProbabilityFlow", "UniformGrid", "LogSNRGrid", "KarrasGrid"),
]
TIMING = """
import sys, time
started = time.perf_counter()
import sde_jax
ours = time.perf_counter() - started
heavy = {"jax", "flax", "matplotlib", "numpy", "optax", "diffrax"} & set(sys.modules)
assert not heavy, heavy
assert sde_jax.__version__
import jax
print(ours, time.perf_counter() - started - ours)
"""


def homes():
    """The packages of the names that type checkers see."""
    tree = ast.parse(Path(sde_jax.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    return {alias.asname: node.module for node in block.body for alias in node.names}


def test_the_import_is_light():
    done = subprocess.run([sys.executable, "-c", TIMING], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    ours, of_jax = map(float, done.stdout.split())
    assert ours < of_jax


@pytest.mark.parametrize("name", sde_jax.__all__)
def test_a_name_is_that_of_its_package(name):
    value = getattr(sde_jax, name)
    if name != "__version__":
        assert value is getattr(importlib.import_module(homes()[name]), name)
        assert value.__doc__
    assert name in dir(sde_jax)


def test_the_names_that_users_need_are_there():
    assert set(NEEDED) <= set(sde_jax.__all__) == {*homes(), "__version__"}


def test_another_name_is_refused():
    with pytest.raises(AttributeError, match="module 'sde_jax' has no attribute 'VPP'"):
        sde_jax.VPP  # noqa: B018


def test_the_version_is_stated_once():
    assert "version = attr: sde_jax.__version__\n" in (ROOT / "setup.cfg").read_text()
    assert f"version: {sde_jax.__version__}\n" in (ROOT / "CITATION.cff").read_text()
