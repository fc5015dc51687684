"""The U-Nets against arrays that the published implementation computed.

Five of its smallest networks are kept beside the tests; the others are in the reference data.
"""

import pathlib

import jax
import numpy as np
import pytest
from published import inputs_of, parameters_of, read, relative_error, spec_of
from unet_oracle import UNet

from sde_jax.nets.ddpm import DDPMSpec

KEPT = pathlib.Path(__file__).parents[1] / "data" / "parity" / "nets"
OTHERS = [
    "vp_ddpm",
    "extra/act_relu",
    "extra/ddpm_block_noresampconv_fir",
    "extra/three_levels",
    "extra/unconditional",
    "grid/biggan_fir0_none_fourier_sbs0",
    "grid/biggan_fir0_none_positional_sbs1",
    "grid/biggan_fir0_residual_fourier_sbs1",
    "grid/biggan_fir0_residual_positional_sbs0",
    "grid/biggan_fir1_none_fourier_sbs1",
    "grid/biggan_fir1_none_positional_sbs0",
    "grid/biggan_fir1_residual_fourier_sbs0",
    "grid/ddpm_fir0_none_fourier_sbs1",
    "grid/ddpm_fir0_none_positional_sbs0",
    "grid/ddpm_fir0_residual_positional_sbs1",
    "grid/ddpm_fir1_none_fourier_sbs0",
    "grid/ddpm_fir1_residual_fourier_sbs1",
    "grid/ddpm_fir1_residual_positional_sbs0",
    "subvp_ddpmpp",
    "tiny_ve_ncsnpp",
    "tiny_vp_ddpmpp",
    "ve_ncsnpp",
    "ve_ncsnpp_disc",
    "vp_ddpm_disc",
    "vp_ddpmpp",
]


def hold_to(path):
    """Our network and the oracle of it, both with the published weights, on the published inputs.

    Where the output is divided by sigma, examples differ by the size of their sigmas: each counts.
    """
    file, meta = read(path)
    spec, params = spec_of(meta["model"], meta["data"]), parameters_of(file, meta)
    network = spec.build().clone(precision="highest")
    oracle = UNet(spec, jax.tree.map(np.float64, params), isinstance(spec, DDPMSpec))
    apply = jax.jit(network.apply)
    for case in {name[0] for name in file if name.endswith("/out")}:
        x, time = inputs_of(file, case, spec)
        published, truth = (file[f"{case}/{name}"] for name in ("out", "out_f64"))
        output = np.asarray(apply({"params": params}, x, time)).transpose(0, 3, 1, 2)
        assert output.dtype == np.float32
        for by_example in {False, spec.scale_by_sigma}:
            rounding = relative_error(published, truth, by_example)
            assert relative_error(output, published, by_example) <= 1e-4
            assert relative_error(output, truth, by_example) <= 3 * rounding
        x, time = inputs_of({name: np.float64(file[name]) for name in file}, case, spec)
        assert relative_error(oracle(x, time).transpose(0, 3, 1, 2), truth, True) <= 1e-13


QUICK = ("outskip_inskip_sum",)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=() if path.stem in QUICK else pytest.mark.slow)
        for path in sorted(KEPT.glob("*.npz"))
    ],
    ids=lambda path: path.stem,
)
def test_kept_networks(path):
    hold_to(path)


@pytest.mark.slow("test_kept_networks")
@pytest.mark.parametrize("name", OTHERS)
def test_other_networks(shared, name):
    hold_to(shared / "parity" / "nets" / f"{name}.npz")


def test_no_network_is_left_out(shared):
    files = (shared / "parity" / "nets").rglob("*.npz")
    kept = {path.name for path in KEPT.glob("*.npz")}
    others = {pathlib.Path(name).name + ".npz" for name in OTHERS}
    assert {path.name for path in files} == kept | others
    assert not kept & others
