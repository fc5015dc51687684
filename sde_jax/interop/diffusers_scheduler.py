"""Reads `scheduler_config.json` of diffusers: the process and the network's prediction."""

from pathlib import Path

import flax.linen as nn

from sde_jax.interop.diffusers_network import Rules, Settings, broken_rules, read_settings
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

__all__ = ["read_score_model"]

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
    choices = [usual] if takes_noise_level else [*CHAINS, "ScoreSdeVpScheduler"]
    rules = {"_class_name": (kind in choices, f"{', '.join(choices)} for this network")}
    problems = broken_rules(stated, rules)
    settings = {**DEFAULTS.get(kind, {}), **stated}
    if kind in CHAINS:
        problems = problems or broken_rules(settings, chain_rules(settings))
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
    return chain_model(network, settings)


def chain_rules(settings: Settings) -> Rules:
    """Returns the rules for the settings of a chain."""
    return {
        "beta_schedule": (settings["beta_schedule"] == "linear", "linear"),
        "trained_betas": (settings["trained_betas"] is None, "None"),
        "rescale_betas_zero_snr": (not settings["rescale_betas_zero_snr"], "False"),
        "prediction_type": (settings["prediction_type"] in PREDICTIONS, ", ".join(PREDICTIONS)),
    }


def chain_model(network: nn.Module, settings: Settings) -> ScoreModel:
    """Builds the chain of the same betas: VP whose rates are N times the first and last beta."""
    levels = settings["num_train_timesteps"]
    return ScoreModel(
        network=network,
        sde=VP(
            beta_min=levels * settings["beta_start"],
            beta_max=levels * settings["beta_end"],
        ),
        parameterization=PREDICTIONS[settings["prediction_type"]],
        time_condition=ScaledTime(scale=levels - 1.0),
        noise_levels=DDPMChain(levels=levels),
    )
