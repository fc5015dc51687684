"""Networks are traced once for all tests of files: many files are of the same ones."""

import functools
import shutil

import pytest
from diffusers_models import DRAWN, KEPT, WEIGHTS, draw, read_case
from safetensors.numpy import save_file

from sde_jax.interop import diffusers, layout, score_sde
from sde_jax.interop.modules import parameter_shapes


@pytest.fixture(autouse=True, scope="session")
def traced_once():
    remembered = functools.cache(parameter_shapes)
    with pytest.MonkeyPatch.context() as patch:
        for module in (diffusers, layout, score_sde):
            patch.setattr(module, "parameter_shapes", remembered)
        yield


@pytest.fixture
def pipeline(tmp_path):
    """Copies a kept pipeline, its weights with it, to where a test may change it."""

    def copy(name):
        folder = shutil.copytree(KEPT / name, tmp_path / name)
        if name in DRAWN:
            save_file(draw(read_case(folder)[0]), folder / "unet" / WEIGHTS)
        return folder

    return copy
