"""One operator of each kind with the shape of its examples, and matrices of operators."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.operators import (
    Channels,
    Convolution,
    Mask,
    Matrix,
    Separable,
    bicubic,
    block_average,
    gaussian_blur,
    grey,
    motion_blur,
)

RANDOM = np.random.default_rng(7)
PIXELS = RANDOM.random((6, 8, 1)) < 0.6
KERNEL = RANDOM.normal(size=(3, 4))
WIDE, TALL = RANDOM.normal(size=(4, 12)), RANDOM.normal(size=(9, 5))
DEFICIENT = RANDOM.normal(size=(6, 2)) @ RANDOM.normal(size=(2, 5))
ROWS, COLUMNS = RANDOM.normal(size=(4, 6)), RANDOM.normal(size=(9, 8))

MAKERS = {
    "mask": (lambda: Mask(jnp.asarray(PIXELS)), (6, 8, 3)),
    "mask_of_points": (lambda: Mask(jnp.asarray([1.0, 0.0, 0.0, 1.0, 1.0])), (5,)),
    "grey": (grey, (6, 8, 3)),
    "no_channel": (lambda: Channels(jnp.zeros(2)), (3, 2, 2)),
    "block_average": (lambda: block_average(6, 8, 2), (6, 8, 3)),
    "bicubic": (lambda: bicubic(8, 12, 4), (8, 12, 2)),
    "slight_blur": (lambda: gaussian_blur(6, 8, 0.5), (6, 8, 2)),
    "blur": (lambda: gaussian_blur(9, 8, 1.5), (9, 8, 1)),
    "separable": (lambda: Separable.from_matrices(ROWS, COLUMNS), (6, 8, 2)),
    "convolution": (lambda: Convolution.from_kernel(KERNEL, 6, 7), (6, 7, 2)),
    "box_convolution": (lambda: Convolution.from_kernel(np.ones((2, 3)), 6, 6), (6, 6, 1)),
    "motion_blur": (lambda: motion_blur(7, 8, 5.0, 30.0), (7, 8, 2)),
    "wide_matrix": (lambda: Matrix.from_array(WIDE, (2, 2, 3)), (2, 2, 3)),
    "tall_matrix": (lambda: Matrix.from_array(TALL), (5,)),
    "deficient_matrix": (lambda: Matrix.from_array(DEFICIENT), (5,)),
}
QUICK = (
    *("mask", "mask_of_points", "grey", "no_channel", "bicubic", "separable", "convolution"),
    *("motion_blur", "wide_matrix", "deficient_matrix"),
)
each_operator = pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in MAKERS],
)


@functools.cache
def operator_of(name):
    """The operator and the shape of its examples."""
    make, shape = MAKERS[name]
    return make(), shape


@functools.cache
def matrix_of(name):
    """The operator's matrix, column by column, in float64."""
    operator, shape = operator_of(name)
    return matrix_of_function(operator, shape)


def matrix_of_function(linear, shape):
    """The matrix of a linear function of examples of this shape."""
    columns = jax.jit(lambda x: linear(x))(jnp.eye(int(np.prod(shape))).reshape(-1, *shape))
    return np.asarray(columns, np.float64).reshape(len(columns), -1).T


def flat(batch):
    """Examples as vectors in float64."""
    return np.asarray(batch, np.float64).reshape(len(batch), -1)


def norm_error(actual, expected):
    """The largest error of an example relative to the largest norm."""
    errors = np.linalg.norm(flat(actual) - flat(expected), axis=1)
    return errors.max() / max(np.linalg.norm(flat(expected), axis=1).max(), 1e-30)
