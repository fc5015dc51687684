"""The recipes of the published models of score_sde."""

import dataclasses
import itertools
from typing import Any

from sde_jax.data.folder import Folder
from sde_jax.data.tfds import TfdsImages
from sde_jax.interop.published_model import PUBLISHED_NAMES, PublishedModel
from sde_jax.objectives import DiscreteTimes, LikelihoodWeighting, NoiseWeighting, UniformTimes
from sde_jax.recipes.evaluation_settings import EvaluationSettings
from sde_jax.recipes.matching import Denoising
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.recipes.score import ScoreExperiment
from sde_jax.training.optimizer import Adam
from sde_jax.training.settings import Training


def published_experiment(model: PublishedModel) -> ScoreExperiment:
    """Returns the training and sampling of a published model, by the rules of the PyTorch code.

    Raises:
      ValueError: if a field of the model is not supported; the message names it.
    """
    if model.weight_decay:
        raise ValueError(f"`weight_decay` must be 0: got weight_decay={model.weight_decay}")
    score: Any = model.score_model
    sampling = SamplerSettings(sampler="published")
    return ScoreExperiment(
        data=data_spec(model),
        sde=model.process,
        network=model.network_spec,
        parameterization=score.parameterization,
        time_condition=score.time_condition,
        noise_levels=score.noise_levels,
        times=UniformTimes() if model.continuous else DiscreteTimes(levels=model.num_scales),
        weighting=LikelihoodWeighting() if model.likelihood_weighting else NoiseWeighting(),
        matching=Denoising(reduction="mean" if model.reduce_mean else "half_sum"),
        optimizer=Adam(
            learning_rate=model.lr,
            warmup_steps=model.warmup,
            warmup_start=0,
            clip_norm=model.grad_clip if model.grad_clip >= 0 else None,
            clip_eps=1e-6,
            b1=model.beta1,
            adam_eps=model.eps,
        ),
        ema_decay=model.ema_rate,
        training=Training(
            steps=model.n_iters,
            batch_size=model.batch_size,
            seed=model.seed,
            log_every=model.log_freq,
            sample_every=10_000,
            checkpoint_every=model.snapshot_freq_for_preemption,
        ),
        sampling=sampling,
        evaluation=EvaluationSettings(sampling=sampling),
    )


def data_spec(model: PublishedModel) -> TfdsImages | Folder:
    """Returns the data set of tensorflow_datasets, cropped and resized as published. FFHQ is a
    folder or a zip file of pictures."""
    common: dict[str, Any] = {
        "image_size": model.image_size,
        "fit": "crop",
        "flip": model.random_flip,
        "dequantize": model.uniform_dequantization,
        "centered": model.centered,
    }
    if model.dataset == "FFHQ":
        return Folder(**common, labels="none")
    return TfdsImages(**common, channels=model.num_channels, **prepared_set(model))


def prepared_set(model: PublishedModel) -> dict[str, Any]:
    """Returns the name of the data set and further fields of `TfdsImages`."""
    match model.dataset:
        case "CIFAR10":
            return {"name": "cifar10"}
        case "CELEBA":
            return {"name": "celeb_a", "crop_size": 140}
        case "CelebAHQ":  # It has a single split.
            name = f"celeb_a_hq/{model.image_size}"
            return {"name": name, "train_split": "train[:90%]", "test_split": "train[90%:]"}
        case "LSUN":
            return {"name": f"lsun/{model.category}", "test_split": "validation"}
        case other:
            return {"name": other if model.category is None else f"{other}/{model.category}"}


def model_of(experiment: ScoreExperiment, shape: tuple[int, ...]) -> PublishedModel:
    """Returns the published model with the same network and score, for images of ``shape``.

    Raises:
      ValueError: if there is none.
    """
    if len(shape) != 3:
        raise ValueError("published networks are of images: these data are points.")
    known = {field.name for field in dataclasses.fields(PublishedModel)}
    process = dataclasses.asdict(experiment.sde)
    fields = network_fields(experiment.network) | {k: v for k, v in process.items() if k in known}
    fields |= {"image_size": shape[0], "num_channels": shape[2], "ema_rate": experiment.ema_decay}
    wanted = experiment.model()
    for sde, continuous in itertools.product(("vpsde", "subvpsde", "vesde"), (True, False)):
        kind: dict[str, Any] = {"sde": sde, "continuous": continuous}
        try:
            model = PublishedModel(**fields, **kind)
        except (TypeError, ValueError):
            continue
        if model.score_model == wanted:
            return model
    raise ValueError("no published model has this network, SDE and parameterization.")


def network_fields(spec: Any) -> dict[str, Any]:
    """Returns the fields of a published model that describe a network."""
    fields = dataclasses.asdict(spec)
    names = {ours: PUBLISHED_NAMES.get(ours, ours) for ours in fields}
    known = {field.name for field in dataclasses.fields(PublishedModel)}
    common = {name: fields[ours] for ours, name in names.items() if name in known}
    taps = fields.get("resampling_filter")
    filtering = {} if taps is None else {"fir": True, "fir_kernel": taps}
    return {"name": "ncsnpp" if "block" in fields else "ddpm"} | common | filtering
