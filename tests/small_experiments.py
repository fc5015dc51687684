"""Experiments on digits whose runs take seconds, in the place of those of their names."""

import dataclasses

from tiny import tiny

from experiments import digits, digits_others
from sde_jax.recipes import LikelihoodSettings, SamplerSettings
from sde_jax.runs.catalogue import find


def brief(training):
    """A training of two steps."""
    return dataclasses.replace(
        training, steps=2, batch_size=16, eval_every=2, eval_examples=16, keep_best=False
    )


def few(evaluation):
    """An evaluation of few samples by few numbers."""
    return dataclasses.replace(
        evaluation,
        count=128,
        reference_count=128,
        likelihood_count=8,
        features=("classifier",),
        metrics=("frechet", "memorization", "likelihood"),
    )


def small_vp(whole):
    """A score model of the digits that trains, draws and measures in seconds."""
    return dataclasses.replace(
        whole,
        network=find(tiny("digits")).experiment.network,
        training=brief(whole.training),
        likelihood=LikelihoodSettings(t_min=0.01, tolerance=0.1),
        evaluation=dataclasses.replace(
            few(whole.evaluation),
            sampling=SamplerSettings(sampler="unipc", steps=2, grid="log-snr"),
        ),
    )


def small_vae(whole):
    """An autoencoder of the digits."""
    return dataclasses.replace(
        whole,
        network=find(tiny("vae")).experiment.network,
        training=brief(whole.training),
        evaluation=few(whole.evaluation),
    )


def small_classifier(whole):
    """A classifier of the digits."""
    network = dataclasses.replace(whole.network, channels=4, multipliers=(1,), features=6)
    return dataclasses.replace(whole, network=network, training=brief(whole.training))


SMALL = {
    (digits, "digits_vp"): small_vp,
    (digits, "digits_classifier"): small_classifier,
    (digits_others, "digits_vae"): small_vae,
}


def shrink_experiments(patch):
    """Puts small experiments in the place of those of their names."""
    for (module, name), shrink in SMALL.items():
        small = shrink(getattr(module, name)())
        patch.setattr(module, name, lambda small=small: small)
