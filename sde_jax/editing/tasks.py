"""Prepares each task: its draws, its results and its pictures."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arguments import UsageError
from sde_jax.arrays import Array, Float, Key, Keys, PyTree
from sde_jax.data.degradation import Smaller
from sde_jax.data.scaling import ImageScaling
from sde_jax.editing.images import held_out, image_scaling, read_images
from sde_jax.editing.masks import masks_for
from sde_jax.editing.methods import METHODS, Measurement, conditional_sampler
from sde_jax.editing.options import EditOptions
from sde_jax.editing.prepared import Prepared, chosen, column, estimate
from sde_jax.editing.restoration import Degradation, findings, in_range, measured, shown
from sde_jax.ode import AdaptiveSolver
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.runs.trained_run import ScoreRun
from sde_jax.sampling import (
    Edit,
    ProbabilityFlow,
    Samples,
    draw_each,
    interpolate,
    reconstruction_error,
)
from sde_jax.score import NetworkScore


def restoration(run: ScoreRun, options: EditOptions) -> Prepared:
    """Prepares the restoration of images from measurements."""
    scaling, shape, model = image_scaling(run), run.layout.shape, run.experiment.model()
    degradation = Degradation(options=options, shape=shape)
    noise = options.noise * scaling.width
    images = given_images(run, options, degradation.measured_shape)
    truth = images if options.demo else None
    measurement = measurement_of(degradation, images, noise)
    method, settings = options.method, chosen(options, METHODS[options.method])
    sampler = conditional_sampler(method, settings, degradation.problem(noise), shape)

    def draw(params: PyTree, keys: Keys, index: Array) -> Samples:
        asked = jax.tree.map(lambda array: array[index // options.count], measurement)

        def one(key: Key[Array, "1"], measurement: Measurement) -> Samples:
            samples = sampler(key, NetworkScore(params, model), model.sde, measurement)
            if options.task != "colorize" or noise:
                return samples
            return samples._replace(x=in_range(measurement, samples.x, scaling))

        return draw_each(one, keys, asked)

    def found(answers: Array) -> dict[str, Any]:
        near = findings(degradation, measurement, answers, truth, scaling, noise)
        return {"method": method, "sampler": settings.sampler, **settings.options(), **near}

    return Prepared(
        how=method,
        rows=len(measurement.values),
        draws=options.count,
        draw=draw,
        params=run.params,
        given={"measured": shown(measurement, scaling, shape[0])[:, None]},
        title=f"{options.count} answers by {method}",
        truth={} if truth is None else {"truth": column(scaling.to_unit_unrounded(truth))},
        findings=found,
    )


def given_images(
    run: ScoreRun, options: EditOptions, shape: tuple[int, ...]
) -> Float[Array, "count height width channels"]:
    """Returns the run's held-out images for ``--demo``, else the user's, of that shape."""
    if options.input is None:
        return held_out(run, options.images)
    return read_images(options.input, run, shape)


def measurement_of(
    degradation: Degradation, images: Float[Array, "count ..."], noise: float
) -> Measurement:
    """Returns the measurement of held-out images for ``--demo``, else the one that is given."""
    options, masks = degradation.options, None
    if options.mask is not None:
        masks = masks_for(options.mask, options.input, len(images), degradation.shape)
    if options.demo:
        return measured(degradation, images, masks, jax.random.key(options.seed), noise)
    if masks is None:
        return Measurement(images, None)
    return Measurement(jnp.asarray(masks) * images, jnp.asarray(masks))


def stroke(run: ScoreRun, options: EditOptions) -> Prepared:
    """Prepares images like a coarse painting: SDEdit."""
    scaling = image_scaling(run)
    images = given_images(run, options, run.layout.shape)
    guides = painted(images, scaling) if options.demo else images
    truth = {"painted after": column(scaling.to_unit_unrounded(images))} if options.demo else {}
    start = options.start
    settings = chosen(options, SamplerSettings(sampler="ancestral", steps=500))
    edit, model = Edit(sampler=settings.build(), start=start), run.experiment.model()

    def found(answers: Array) -> dict[str, Any]:
        squares = ((answers - guides[:, None]) / scaling.width) ** 2
        moved = np.sqrt(np.asarray(squares.mean(axis=(2, 3, 4))))
        how = {"start": start, "sampler": settings.sampler, **settings.options()}
        return {**how, "moved": estimate(moved)}

    return Prepared(
        how=f"from{start:g}",
        rows=len(guides),
        draws=options.count,
        draw=lambda params, keys, index: edit(
            keys, NetworkScore(params, model), model.sde, guides[index // options.count]
        ),
        params=run.params,
        given={"painting": column(scaling.to_unit_unrounded(guides))},
        title=f"{options.count} images from t = {start:g}",
        truth=truth,
        findings=found,
    )


def painted(
    images: Float[Array, "count height width channels"], scaling: ImageScaling
) -> Float[Array, "count height width channels"]:
    """Paints with a broad brush: means over squares, an eighth of the image wide or two pixels."""
    means = scaling.to_unit_unrounded(Smaller(factor=max(2, images.shape[1] // 8))(images))
    return scaling.from_unit(jnp.clip(0.5 + 1.5 * (means - 0.5), 0, 1))


def interpolation(run: ScoreRun, options: EditOptions) -> Prepared:
    """Prepares images between pairs: from each to the next, the last to the first."""
    scaling, settings = image_scaling(run), run.experiment.likelihood
    ends = given_images(run, options, run.layout.shape)
    if len(ends) < 2:
        raise UsageError("--task interpolate needs two images or more: there is one.")
    if options.sampler is not None or options.steps is not None:
        raise UsageError("--sampler and --steps do not apply to --task interpolate: it is a flow.")
    solver = AdaptiveSolver(rtol=settings.tolerance, atol=settings.tolerance)
    flow, model = ProbabilityFlow(solver=solver, t_min=settings.t_min), run.experiment.model()
    weights = jnp.linspace(0, 1, options.count + 2)[1:-1]
    others = jnp.roll(ends, -1, axis=0)

    def draw(params: PyTree, keys: Keys, index: Array) -> Samples:
        score = NetworkScore(params, model)
        way = interpolate(flow, score, model.sde, ends[index], others[index], weights)
        return Samples(way.images.swapaxes(0, 1), way.nfe, way.converged.all(axis=0))

    def found(answers: Array) -> dict[str, Any]:
        there_and_back = jax.jit(reconstruction_error, static_argnums=(0, 2))
        errors = np.asarray(there_and_back(flow, run.score, model.sde, ends).error)[:, None]
        return {"tolerance": settings.tolerance, "reconstruction": estimate(errors / scaling.width)}

    return Prepared(
        how="flow",
        rows=len(ends),
        draws=1,
        draw=draw,
        params=run.params,
        given={"from": column(scaling.to_unit_unrounded(ends))},
        title="between, along the latents' great circle",
        truth={"to": column(scaling.to_unit_unrounded(others))},
        findings=found,
    )
