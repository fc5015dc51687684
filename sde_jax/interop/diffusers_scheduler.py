"""Reads `scheduler_config.json` of diffusers: the process and the network's prediction."""

from pathlib import Path

import flax.linen as nn

from sde_jax.interop.diffusers_network import (
    Permitted,
    Settings,
    broken_rules,
    choices,
    read_settings,
)
from sde_jax.interop.errors import CheckpointFileError
from sde_jax.score import (
    DataPrediction,
    LogNoiseLevel,
    NoisePrediction,
    Parameterization,
    ScaledTime,
    ScoreModel,
    ScorePrediction,
    VelocityPrediction,
)
from sde_jax.sde import VE, VP, DDPMChain

CHAINS = ("DDPMScheduler", "DDIMScheduler", "PNDMScheduler")
"""Schedulers of the same chain with different samplers."""

DEFAULTS: dict[str, Settings] = {
    "ScoreSdeVeScheduler": {"sigma_min": 0.01, "sigma_max": 1348.0},
    "ScoreSdeVpScheduler": {"beta_min": 0.1, "beta_max": 20.0},
} | dict.fromkeys(
    CHAINS,
    {
        "num_train_timesteps": 1000,
        "beta_start": 0.0001,
        "beta_end": 0.02,
        "beta_schedule": "linear",
        "trained_betas": None,
        "rescale_betas_zero_snr": False,
        "prediction_type": "epsilon",
    },
)
"""The supported schedulers and the defaults of their settings."""

PREDICTIONS: dict[str, Parameterization] = {
    "epsilon": NoisePrediction(),
    "sample": DataPrediction(),
    "v_prediction": VelocityPrediction(),
}


PERMITTED: Permitted = {
    "beta_schedule": ["linear"],
    "trained_betas": [None],
    "rescale_betas_zero_snr": [False, None],
    "prediction_type": [*PREDICTIONS],
}
"""The supported values of a chain's settings."""


def read_score_model(path: Path, network: nn.Module, *, takes_noise_level: bool) -> ScoreModel:
    """Builds the score model of ``network`` from the settings of its scheduler.

    Without a file the defaults of the usual scheduler apply.

    Args:
      path: ``scheduler_config.json``.
      network: the network.
      takes_noise_level: whether its time is the logarithm of a noise level, not a step number.

    Raises:
      CheckpointFileError: if a setting is not supported, or does not fit the network.
    """
    usual = "ScoreSdeVeScheduler" if takes_noise_level else "DDPMScheduler"
    stated = {"_class_name": usual, **(read_settings(path) if path.is_file() else {})}
    kind = stated["_class_name"]
    known = [usual] if takes_noise_level else [*CHAINS, "ScoreSdeVpScheduler"]
    settings = {**DEFAULTS.get(kind, {}), **stated}
    rules = {"_class_name": (kind in known, f"{', '.join(known)} for this network")}
    problems = broken_rules(settings, rules)
    if kind in CHAINS:
        problems = problems or broken_rules(settings, choices(settings, PERMITTED))
    if problems:
        raise CheckpointFileError(path, problems)
    if kind == "ScoreSdeVeScheduler":
        return ScoreModel(
            network=network,
            sde=VE(sigma_min=settings["sigma_min"], sigma_max=settings["sigma_max"]),
            parameterization=ScorePrediction(),
            time_condition=LogNoiseLevel(),
        )
    if kind == "ScoreSdeVpScheduler":
        sde = VP(beta_min=settings["beta_min"], beta_max=settings["beta_max"])
        return ScoreModel(network=network, sde=sde)
    # A chain is VP whose rates are N times the first and the last beta.
    levels, first, last = (
        settings[field] for field in ("num_train_timesteps", "beta_start", "beta_end")
    )
    return ScoreModel(
        network=network,
        sde=VP(beta_min=levels * first, beta_max=levels * last),
        parameterization=PREDICTIONS[settings["prediction_type"]],
        time_condition=ScaledTime(scale=levels - 1.0),
        noise_levels=DDPMChain(levels=levels),
    )
