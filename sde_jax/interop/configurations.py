"""The 28 published DDPM, DDPM++ and NCSN++ models of score_sde, by their names."""

import difflib
from collections.abc import Mapping
from typing import Any

from sde_jax import interop


def published(name: str) -> "interop.PublishedModel":
    """Returns the model of this name, such as ``vp/cifar10_ddpmpp_continuous``.

    Raises:
      ValueError: if the name is unknown; the message lists similar names.
    """
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, n=5, cutoff=0.5)
        rest = f"similar are {', '.join(near)}" if near else f"there are {', '.join(MODELS)}"
        raise ValueError(f"no published model is called {name!r}: {rest}")
    return interop.PublishedModel(**MODELS[name])


def published_names() -> tuple[str, ...]:
    """Returns the names of all published models in alphabetical order."""
    return tuple(sorted(MODELS))


DEEP: dict[str, Any] = {"num_res_blocks": 8, "n_iters": 950_001}
DISCRETE_VP: dict[str, Any] = {"continuous": False, "predictor": "ancestral_sampling"}
VE: dict[str, Any] = {
    "sde": "vesde",
    "centered": False,
    "scale_by_sigma": True,
    "ema_rate": 0.999,
    "reduce_mean": False,
    "predictor": "reverse_diffusion",
    "corrector": "langevin",
}
LARGE: dict[str, Any] = {
    "image_size": 256,
    "num_res_blocks": 2,
    "dropout": 0.0,
    "batch_size": 64,
    "n_iters": 2_400_001,
    "snapshot_freq_for_preemption": 5000,
    "snr": 0.075,
}
BEDROOM: dict[str, Any] = {"dataset": "LSUN", "category": "bedroom"}
CHURCH: dict[str, Any] = {"dataset": "LSUN", "category": "church_outdoor"}

DDPMPP: dict[str, Any] = {
    "dataset": "CIFAR10",
    "category": None,
    "image_size": 32,
    "sde": "vpsde",
    "continuous": True,
    "num_scales": 1000,
}
NCSNPP = dict(DDPMPP, fir=True, progressive_input="residual")
NCSNPP_VE = dict(NCSNPP, **VE, embedding_type="fourier")
NCSNPP_VE_DISCRETE = dict(NCSNPP, **VE, continuous=False)
NCSNPP_256 = dict(
    NCSNPP_VE,
    **LARGE,
    ch_mult=(1, 1, 2, 2, 2, 2, 2),
    progressive_input="input_skip",
    progressive="output_skip",
    num_scales=2000,
)
NCSNPP_1024 = dict(
    NCSNPP_256,
    image_size=1024,
    nf=16,
    ch_mult=(1, 2, 4, 8, 16, 32, 32, 32),
    num_res_blocks=1,
    sigma_max=1348.0,
    ema_rate=0.9999,
    batch_size=8,
    snr=0.15,
)
DDPM = dict(DDPMPP, name="ddpm", num_res_blocks=2, embedding_type="fourier")
DDPM_256 = dict(DDPM, **LARGE, **DISCRETE_VP, ch_mult=(1, 1, 2, 2, 4, 4), sigma_max=378.0, lr=2e-5)

MODELS: Mapping[str, Mapping[str, Any]] = {
    "subvp/cifar10_ddpm_continuous": dict(DDPM, sde="subvpsde"),
    "subvp/cifar10_ddpmpp_continuous": dict(DDPMPP, sde="subvpsde"),
    "subvp/cifar10_ddpmpp_deep_continuous": dict(DDPMPP, **DEEP, sde="subvpsde"),
    "subvp/cifar10_ncsnpp_continuous": dict(NCSNPP, sde="subvpsde"),
    "subvp/cifar10_ncsnpp_deep_continuous": dict(NCSNPP, **DEEP, sde="subvpsde"),
    "ve/bedroom_ncsnpp_continuous": dict(NCSNPP_256, **BEDROOM, sigma_max=378.0),
    "ve/celeba_ncsnpp": dict(
        NCSNPP_VE_DISCRETE,
        dataset="CELEBA",
        image_size=64,
        sigma_max=90.0,
        snr=0.17,
    ),
    "ve/celebahq_256_ncsnpp_continuous": dict(NCSNPP_256, dataset="CelebAHQ", sigma_max=348.0),
    "ve/celebahq_ncsnpp_continuous": dict(NCSNPP_1024, dataset="CelebAHQ"),
    "ve/church_ncsnpp_continuous": dict(NCSNPP_256, **CHURCH, sigma_max=380.0),
    "ve/cifar10_ddpm": dict(DDPM, **VE, continuous=False),
    "ve/cifar10_ncsnpp": NCSNPP_VE_DISCRETE,
    "ve/cifar10_ncsnpp_continuous": NCSNPP_VE,
    "ve/cifar10_ncsnpp_deep_continuous": dict(NCSNPP_VE, **DEEP),
    "ve/ffhq_256_ncsnpp_continuous": dict(NCSNPP_256, dataset="FFHQ", sigma_max=348.0),
    "ve/ffhq_ncsnpp_continuous": dict(NCSNPP_1024, dataset="FFHQ", reduce_mean=True),
    "vp/cifar10_ddpmpp": dict(DDPMPP, **DISCRETE_VP),
    "vp/cifar10_ddpmpp_continuous": DDPMPP,
    "vp/cifar10_ddpmpp_deep_continuous": dict(DDPMPP, **DEEP),
    "vp/cifar10_ncsnpp": dict(NCSNPP, continuous=False, predictor="reverse_diffusion"),
    "vp/cifar10_ncsnpp_continuous": NCSNPP,
    "vp/cifar10_ncsnpp_deep_continuous": dict(NCSNPP, **DEEP),
    "vp/ddpm/bedroom": dict(DDPM_256, **BEDROOM),
    "vp/ddpm/celebahq": dict(DDPM_256, dataset="CelebAHQ"),
    "vp/ddpm/church": dict(DDPM_256, **CHURCH),
    "vp/ddpm/cifar10": dict(DDPM, **DISCRETE_VP),
    "vp/ddpm/cifar10_continuous": DDPM,
    "vp/ddpm/cifar10_unconditional": dict(DDPM, **DISCRETE_VP, conditional=False),
}
"""The fields of the published models by name. Upstream cannot build the last, which has no time
layers here."""
