"""Networks are traced once for all tests of files: many files are of the same ones."""

import functools

import pytest

from sde_jax.interop import diffusers, layout, score_sde
from sde_jax.interop.modules import parameter_shapes


@pytest.fixture(autouse=True, scope="session")
def traced_once():
    remembered = functools.cache(parameter_shapes)
    with pytest.MonkeyPatch.context() as patch:
        for module in (diffusers, layout, score_sde):
            patch.setattr(module, "parameter_shapes", remembered)
        yield
