"""`scheduler_config.json` of diffusers: the process of a network, and what the network predicts."""

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
"""Schedulers of the same chain, which differ in how they sample."""

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
"""The schedulers that are read, and what they are where their settings do not say."""

PREDICTIONS: dict[str, Parameterization] = {
    "epsilon": NoisePrediction(),
    "sample": DataPrediction(),
    "v_prediction": VelocityPrediction(),
}

PREDICTIONS = {
    "epsilon": NoisePrediction(),
    "sample": DataPrediction(),
    "v_prediction": VelocityPrediction(),
}


def read_score_model(path: Path, network: nn.Module, *, told_sigma: bool) -> ScoreModel:
    """How ``network`` is a score, by the settings of its scheduler or, without such a file, by the
    defaults of the usual one.

    Args:
      path: ``scheduler_config.json``.
      network: what predicts.
      told_sigma: whether it is told the logarithm of a noise level, instead of a number of steps.

    Raises:
      CheckpointFileError: if a setting is not supported, or does not go with the network.
    """
    usual = "ScoreSdeVeScheduler" if told_sigma else "DDPMScheduler"
    stated = {"_class_name": usual, **(read_settings(path) if path.is_file() else {})}
    kind = stated["_class_name"]
    choices = [usual] if told_sigma else [*CHAINS, "ScoreSdeVpScheduler"]
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
    """What must hold of the settings of a chain."""
    return {
        "beta_schedule": (settings["beta_schedule"] == "linear", "linear"),
        "trained_betas": (settings["trained_betas"] is None, "None"),
        "rescale_betas_zero_snr": (not settings["rescale_betas_zero_snr"], "False"),
        "prediction_type": (settings["prediction_type"] in PREDICTIONS, ", ".join(PREDICTIONS)),
    }


def chain_model(network: nn.Module, settings: Settings) -> ScoreModel:
    """The chain of the same betas, of VP with N times their first and last as rates."""
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
