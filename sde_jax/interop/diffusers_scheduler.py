"""Reads `scheduler_config.json` of diffusers: the process and the network's prediction."""

from pathlib import Path

import flax.linen as nn

from sde_jax.interop.errors import CheckpointFileError
from sde_jax.interop.settings_rules import (
    Permitted,
    Settings,
    Types,
    broken_rules,
    choices,
    number,
    of_types,
    read_settings,
    whole,
)
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

OF_CHAIN = {"num_train_timesteps", "beta_start", "beta_end", "beta_schedule"}
"""What another scheduler of the chain must state, since its defaults are not known here."""

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
        "timestep_type": "discrete",
    },
)
"""The supported schedulers and the defaults of their settings."""

PREDICTIONS: dict[str, Parameterization] = {
    "epsilon": NoisePrediction(),
    "sample": DataPrediction(),
    "v_prediction": VelocityPrediction(),
}


TYPES: Types = {
    "num_train_timesteps": whole(10**6, least=2),
    "beta_start": number(1e-12, 1),
    "beta_end": number(1e-12, 1),
    "beta_min": number(1e-12, 1e6),
    "beta_max": number(1e-12, 1e6),
    "sigma_min": number(1e-12, 1e6),
    "sigma_max": number(1e-12, 1e6),
}

PERMITTED: Permitted = {
    "timestep_type": ["discrete", None],
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
    named = isinstance(kind, str) and kind not in DEFAULTS
    if named and not takes_noise_level and stated.keys() >= OF_CHAIN:
        kind = CHAINS[0]
    known = [usual] if takes_noise_level else [*CHAINS, "ScoreSdeVpScheduler"]
    others = "" if takes_noise_level else f", or one that states {', '.join(sorted(OF_CHAIN))}"
    rule = f"{', '.join(known)} for this network{others}"
    problems = broken_rules(stated, {"_class_name": (kind in known, rule)})
    if not problems:
        settings = {**DEFAULTS[kind], **stated}
        types = {field: TYPES[field] for field in TYPES if field in DEFAULTS[kind]}
        permitted = choices(settings, PERMITTED) if kind in CHAINS else {}
        problems = broken_rules(settings, {**of_types(settings, types), **permitted})
    if problems:
        raise CheckpointFileError(path, problems)
    try:
        return score_model(kind, settings, network)
    except ValueError as error:
        raise CheckpointFileError(path, str(error)) from error


def score_model(kind: str, settings: Settings, network: nn.Module) -> ScoreModel:
    """Builds the score model of ``network`` of a known scheduler with complete settings."""
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
