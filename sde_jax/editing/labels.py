"""Samples of a class, by the network's own labels or by a classifier of noisy images."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from sde_jax.arguments import UsageError
from sde_jax.arrays import Array, Int, Key, PyTree
from sde_jax.editing.images import image_scaling
from sde_jax.editing.options import EditOptions
from sde_jax.editing.prepared import Prepared, chosen, estimate
from sde_jax.evaluation.features import classifier, features_of
from sde_jax.evaluation.networks import MissingNetworkError, classifier_run
from sde_jax.nets import Condition
from sde_jax.recipes.classification import NoisyClassification
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.runs.trained_run import ScoreRun, TrainedRun, open_run_of
from sde_jax.sampling import Samples, draw_each
from sde_jax.score import ClassifierFreeGuidance, LikelihoodGuidance, NetworkScore, Score


def of_classes(run: ScoreRun, options: EditOptions) -> Prepared:
    """Prepares samples of each class, or of one.

    Raises:
      UsageError: if the run's network knows no labels and no classifier is named, the classifier is
        of another process or of other images, or the class is not one.
    """
    scaling, shape, guide = image_scaling(run), run.layout.shape, guiding_classifier(run, options)
    classes = run.experiment.network.classes if guide is None else guide.experiment.network.classes
    if classes is None:
        raise UsageError(
            f"{run.directory.path} knows no classes: train one that does, such as digits_labels "
            "(--network.classes), or name a noise-conditional one with --classifier RUN."
        )
    if options.label is not None and not 0 <= options.label < classes:
        raise UsageError(f"--label must be from 0 to {classes - 1}: got {options.label}.")
    labels = jnp.arange(classes) if options.label is None else jnp.asarray([options.label])
    settings = chosen(options, SamplerSettings(sampler="unipc", steps=20))
    sampler, model = settings.build(), run.experiment.model()
    guided, weight = guidance(run, guide, options), options.weight

    def draw(params: PyTree, keys: Key[Array, "batch"], index: Int[Array, "batch"]) -> Samples:
        def one(key: Key[Array, "1"], label: Int[Array, "1"]) -> Samples:
            return sampler(key, guided(params, label), model.sde, shape)

        return draw_each(one, keys, labels[index // options.count])

    def found(answers: Array) -> dict[str, Any]:
        how = {"weight": weight, "sampler": settings.sampler, **settings.options()}
        return {**how, **agreement(run, np.asarray(scaling.to_unit(answers)), np.asarray(labels))}

    params = {"score": run.params} | ({} if guide is None else {"classifier": guide.params})
    return Prepared(
        how=f"{'labels' if guide is None else 'classifier'}-weight{weight:g}",
        rows=len(labels),
        draws=options.count,
        draw=draw,
        params=params,
        given={},
        title=f"a class in each row, weight {weight:g}",
        truth={},
        findings=found,
        calls=2 if guide is None else 1,
    )


def guidance(
    run: ScoreRun, guide: TrainedRun[NoisyClassification] | None, options: EditOptions
) -> Callable[[PyTree, Int[Array, "1"]], Score]:
    """Returns the function of parameters and a label that returns the guided score."""
    model = run.experiment.model()

    def guided(params: PyTree, label: Int[Array, "1"]) -> Score:
        plain = NetworkScore(params["score"], model)
        if guide is not None:
            told = guide.experiment.log_probability(params["classifier"], label)
            return LikelihoodGuidance(score=plain, log_likelihood=told, weight=options.weight)
        return ClassifierFreeGuidance(
            conditional=NetworkScore(params["score"], model, Condition(label=label)),
            unconditional=plain,
            weight=jnp.asarray(options.weight),
            low=options.low,
            high=options.high,
        )

    return guided


def guiding_classifier(
    run: ScoreRun, options: EditOptions
) -> TrainedRun[NoisyClassification] | None:
    """Opens the classifier of ``--classifier``, if it is given.

    Raises:
      UsageError: if it is of another process, or of images of another shape.
    """
    if options.classifier is None:
        return None
    guide = open_run_of(NoisyClassification, options.classifier)
    if guide.experiment.sde != run.experiment.sde or guide.layout.shape != run.layout.shape:
        raise UsageError(
            f"--classifier {options.classifier} must be of the process and the images of "
            f"{run.directory.path}, {run.experiment.sde} and {run.layout.shape}: it is of "
            f"{guide.experiment.sde} and {guide.layout.shape}."
        )
    return guide


def agreement(run: ScoreRun, answers: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Returns the share of answers whose class the evaluations' classifier predicts."""
    try:
        named = classifier_run(run.experiment.evaluation.classifier, run.directory.path)
    except MissingNetworkError:
        return {}
    images = answers.reshape(-1, *answers.shape[2:])
    logits = features_of(classifier(named), images).logits
    assert logits is not None, "a classifier has logits"
    predicted = np.asarray(logits).argmax(axis=1).reshape(answers.shape[:2])
    return {"agreement": estimate((predicted == labels[:, None]).astype(float))}
