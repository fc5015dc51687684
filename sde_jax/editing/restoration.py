"""Image restoration: degradations, measurements, and errors of the answers."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arguments import UsageError
from sde_jax.arrays import Array, Float, PRNGKeyArray
from sde_jax.data.scaling import ImageScaling
from sde_jax.editing.methods import InverseProblem, Measurement
from sde_jax.editing.options import EditOptions
from sde_jax.editing.prepared import estimate
from sde_jax.metrics import psnr, ssim
from sde_jax.operators import (
    LUMA,
    LinearOperator,
    Mask,
    bicubic,
    block_average,
    gaussian_blur,
    grey,
    motion_blur,
    pseudo_inverse,
)
from sde_jax.sampling import Constraint, KnownChannel, KnownPixels

Images = Float[Array, "count height width channels"]


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """A degradation of images of a shape: the map from images to measurements."""

    options: EditOptions
    """The task, and the options of the map."""
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.options.task == "colorize" and self.shape[-1] != len(LUMA):
            raise UsageError(f"--task colorize needs images of 3 channels: got {self.shape[-1]}.")
        self.operator(dummy_measurement())

    def operator(self, measurement: Measurement) -> LinearOperator:
        """Returns the linear map of images to measurements."""
        options, (height, width, _) = self.options, self.shape
        match options.task:
            case "inpaint":
                assert measurement.mask is not None
                return Mask(measurement.mask)
            case "colorize":
                return grey()
            case "superres":
                smaller = {"block": block_average, "bicubic": bicubic}[options.kernel]
                return smaller(height, width, options.factor)
            case "deblur":
                deviation = height / 16 if options.deviation is None else options.deviation
                return gaussian_blur(height, width, deviation)
            case "motion-deblur":
                length = height / 4 if options.length is None else options.length
                return motion_blur(height, width, length, options.angle)
        raise ValueError(f"--task {options.task} has no degradation.")

    @property
    def measured_shape(self) -> tuple[int, ...]:
        """The shape of a measurement."""
        image = jax.ShapeDtypeStruct((1, *self.shape), jnp.float32)
        return jax.eval_shape(self.operator(dummy_measurement()), image).shape[1:]

    def problem(self, noise: float) -> InverseProblem:
        """Returns the inverse problem of such measurements."""
        task = self.options.task
        fixed = None if task == "inpaint" else self.operator(dummy_measurement())
        constraints = {"inpaint": _known_pixels, "colorize": _known_grey}
        return InverseProblem(
            operator=lambda measurement: self.operator(measurement) if fixed is None else fixed,
            constraint=constraints.get(task),
            noise=noise,
        )


def dummy_measurement() -> Measurement:
    """Returns a placeholder for operators that do not depend on the measurement."""
    return Measurement(jnp.zeros((1, 1, 1, 1)), jnp.ones((1, 1, 1, 1)))


def in_range(measurement: Measurement, colours: Images, scaling: ImageScaling) -> Images:
    """Desaturates colours of the measured grey until every channel lies in [0, 1]."""
    pale = measurement.values
    least, most = (scaling.from_unit(jnp.asarray(unit)) for unit in (0.0, 1.0))
    away = colours - pale
    room = jnp.where(away > 0, most - pale, pale - least) / jnp.maximum(jnp.abs(away), 1e-6)
    kept = jnp.clip(room.min(axis=-1, keepdims=True), 0, 1)
    return pale + kept * away


def _known_pixels(measurement: Measurement) -> Constraint:
    assert measurement.mask is not None
    return KnownPixels(data=measurement.values, mask=measurement.mask)


def _known_grey(measurement: Measurement) -> Constraint:
    data = pseudo_inverse(grey(), measurement.values)
    return KnownChannel(data=data, direction=jnp.asarray(LUMA))


def measured(
    degradation: Degradation,
    truth: Images,
    masks: Float[np.ndarray, "count height width 1"] | None,
    key: PRNGKeyArray,
    noise: float,
) -> Measurement:
    """Measures images in model coordinates, with noise of that deviation there.

    Where pixels are to be known but no mask says which, each image gets one of `example_masks`.
    """
    if degradation.options.task == "inpaint" and masks is None:
        masks = example_masks(key, len(truth), degradation.shape)
    known = None if masks is None else jnp.asarray(masks)
    operator = degradation.operator(Measurement(truth, known))
    seen = operator(truth)
    added = noise * jax.random.normal(jax.random.fold_in(key, 1), seen.shape)
    return Measurement(seen + (added if known is None else known * added), known)


def example_masks(
    key: PRNGKeyArray, count: int, shape: tuple[int, ...]
) -> Float[np.ndarray, "count height width 1"]:
    """Returns masks in turn: all but a square in the middle, the upper half, one pixel in four, the
    left half."""
    height, width = shape[:2]
    rows, columns = np.arange(height)[:, None, None], np.arange(width)[None, :, None]
    middle = (abs(2 * rows + 1 - height) < height / 2) & (abs(2 * columns + 1 - width) < width / 2)
    scattered = np.asarray(jax.random.uniform(key, (count, height, width, 1))) < 0.25
    upper, left = np.broadcast_arrays(rows < height / 2, columns < width / 2)
    kinds = [lambda n: ~middle, lambda n: upper, lambda n: scattered[n], lambda n: left]
    return np.stack([kinds[n % len(kinds)](n) for n in range(count)]).astype(np.float32)


def shown(
    measurement: Measurement, scaling: ImageScaling, size: int
) -> Float[np.ndarray, "count ..."]:
    """Renders measurements as pictures: grey where nothing is known, small images in large
    pixels."""
    pictures = np.asarray(scaling.to_unit_unrounded(measurement.values))
    if measurement.mask is not None:
        pictures = np.where(np.asarray(measurement.mask) > 0, pictures, 0.5)
    factor = size // pictures.shape[1]
    return pictures.repeat(factor, axis=1).repeat(factor, axis=2)


def findings(
    degradation: Degradation,
    measurement: Measurement,
    answers: Float[Array, "count answers height width channels"],
    truth: Images | None,
    scaling: ImageScaling,
    noise: float,
) -> dict[str, Any]:
    """Returns the errors of answers against the measurement and, where it is known, the truth.

    ``residual`` is the root mean square of ``A answer - y`` in the unit of the data, beside that of
    the noise: an answer that is right has about as much of it.
    """
    operator = degradation.operator(measurement)
    unit = [scaling.to_unit_unrounded(answers[:, k]) for k in range(answers.shape[1])]
    seen = jnp.ones(1) if measurement.mask is None else measurement.mask
    seen = jnp.broadcast_to(seen, measurement.values.shape)
    pixels = jnp.maximum(seen.sum(axis=(1, 2, 3)), 1)

    def mean_square(images: Images) -> np.ndarray:
        squared = (operator(scaling.from_unit(images)) - measurement.values) ** 2
        return np.asarray((squared * seen).sum(axis=(1, 2, 3)) / pixels)

    residual = np.sqrt(np.stack([mean_square(x) for x in unit], axis=1)) / scaling.width
    found: dict[str, Any] = {"residual": {**estimate(residual), "noise": noise / scaling.width}}
    if truth is not None:
        right = np.asarray(scaling.to_unit_unrounded(truth))
        for name, metric in (("psnr", psnr), ("ssim", ssim)):
            values = np.stack([np.asarray(metric(np.asarray(x), right)) for x in unit], axis=1)
            found[name] = estimate(values)
    return found
