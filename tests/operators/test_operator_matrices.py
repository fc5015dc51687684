"""Each operator against what numpy, scipy or Pillow make of the same images, and its errors."""

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
import scipy.ndimage
import scipy.signal

from sde_jax.operators import (
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


@pytest.fixture
def images(key):
    """Two lopsided images of 8x12 pixels and three channels."""
    random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    return random.normal(0.7, 0.4, (2, 8, 12, 3)).astype(np.float32)


@pytest.mark.parametrize("shape", [(8, 12, 1), (8, 12, 3), (2, 8, 12, 1), (2, 8, 12, 3)])
@pytest.mark.parametrize("dtype", [bool, np.float32])
def test_mask_keeps_what_is_known(images, shape, dtype):
    known = np.random.default_rng(3).random(shape) < 0.5
    expected = np.where(known, images, 0.0)
    np.testing.assert_array_equal(Mask(jnp.asarray(known.astype(dtype)))(images), expected)


def test_mask_of_points():
    y = Mask(jnp.asarray([True, False]))(jnp.asarray([[1.0, 2.0], [3.0, 4.0]]))
    np.testing.assert_array_equal(y, [[1.0, 0.0], [3.0, 0.0]])


def test_grey_is_luma_and_white_stays_white(images):
    expected = 0.299 * images[..., :1] + 0.587 * images[..., 1:2] + 0.114 * images[..., 2:]
    np.testing.assert_allclose(grey()(images), expected, atol=1e-6)
    np.testing.assert_allclose(grey()(jnp.ones((1, 2, 2, 3))), np.ones((1, 2, 2, 1)), atol=1e-6)


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_block_average_is_the_mean_of_blocks(images, factor):
    blocks = images.reshape(2, 8 // factor, factor, 12 // factor, factor, 3)
    np.testing.assert_allclose(
        block_average(8, 12, factor)(images), blocks.mean(axis=(2, 4)), atol=1e-6
    )


def keys_weight(distance):
    """Keys 1981, eq. 15."""
    s = abs(distance)
    if s <= 1:
        return 1.5 * s**3 - 2.5 * s**2 + 1
    return -0.5 * s**3 + 2.5 * s**2 - 4 * s + 2 if s < 2 else 0.0


def shrunk(line, factor):
    """A line of pixels that is ``factor`` times shorter; all of it is [0, 1]."""
    size = len(line)
    small = []
    for i in range(size // factor):
        centre = (i + 0.5) / (size // factor)
        distances = [((j + 0.5) / size - centre) * (size // factor) for j in range(size)]
        weights = np.asarray([keys_weight(distance) for distance in distances])
        small.append(weights @ line / weights.sum())
    return np.asarray(small)


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_bicubic_is_keys_and_pillow_and_jax(images, factor):
    actual = np.asarray(bicubic(8, 12, factor)(images))
    columns = np.apply_along_axis(shrunk, 1, images.astype(np.float64), factor)
    expected = np.apply_along_axis(shrunk, 2, columns, factor)
    np.testing.assert_allclose(actual, expected, atol=2e-6)
    size = (8 // factor, 12 // factor)
    for image, small in zip(images, actual, strict=True):
        for channel in range(3):
            picture = PIL.Image.fromarray(np.ascontiguousarray(image[..., channel]))
            pillow = picture.resize(size[::-1], PIL.Image.Resampling.BICUBIC)
            np.testing.assert_allclose(small[..., channel], np.asarray(pillow), atol=2e-6)
    resized = jax.image.resize(images, (2, *size, 3), "cubic", antialias=True, precision="highest")
    np.testing.assert_allclose(actual, resized, atol=5e-6)


def test_bicubic_keeps_constants_and_ramps():
    operator = bicubic(24, 32, 4)
    np.testing.assert_allclose(operator(jnp.full((1, 24, 32, 1), 0.7)), 0.7, atol=1e-6)
    ramp = 0.3 * np.arange(24)[:, None] - 0.2 * np.arange(32)[None] + 0.7
    middles = ramp.reshape(6, 4, 8, 4).mean(axis=(1, 3))
    small = operator(jnp.asarray(ramp[None, :, :, None], jnp.float32))[0, :, :, 0]
    np.testing.assert_allclose(small[2:-2, 2:-2], middles[2:-2, 2:-2], atol=1e-5)


@pytest.mark.parametrize("deviation", [0.5, 1.3, 4.0])
def test_gaussian_blur_is_that_of_scipy(images, deviation):
    """4 deviations are 16 pixels: twice the height of the image, which is reflected twice."""
    expected = scipy.ndimage.gaussian_filter(
        images.astype(np.float64), deviation, axes=(1, 2), mode="reflect", truncate=4.0
    )
    np.testing.assert_allclose(gaussian_blur(8, 12, deviation)(images), expected, atol=2e-6)


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (2, 5), (8, 12)])
def test_convolution_is_a_sum_of_shifted_images(images, size):
    kernel = np.random.default_rng(5).normal(size=size)
    expected = np.zeros(images.shape)
    for row in range(size[0]):
        for column in range(size[1]):
            shift = (row - size[0] // 2, column - size[1] // 2)
            expected += kernel[row, column] * np.roll(images, shift, axis=(1, 2))
    np.testing.assert_allclose(
        Convolution.from_kernel(kernel, 8, 12)(images), expected, atol=1e-5 * abs(expected).max()
    )


def test_convolution_of_odd_kernels_and_images_is_that_of_scipy(images):
    """scipy, too, centres a kernel of odd size in its middle; odd widths have no Nyquist mode."""
    x, kernel = images[:, :7, :11], np.random.default_rng(6).normal(size=(5, 3))
    expected = [
        [scipy.signal.convolve2d(c, kernel, mode="same", boundary="wrap") for c in image.T]
        for image in x.transpose(0, 2, 1, 3)
    ]
    actual = np.asarray(Convolution.from_kernel(kernel, 7, 11)(x))
    np.testing.assert_allclose(actual.transpose(0, 3, 1, 2), expected, atol=1e-5)


def test_gradients_reach_the_kernel(images):
    """The derivative along one kernel's pixel is the image shifted by it."""

    def measured(kernel):
        return Convolution.from_kernel(kernel, 8, 12)(images)

    direction = jnp.zeros((3, 3)).at[0, 1].set(1.0)
    _, tangent = jax.jvp(measured, (jnp.ones((3, 3)),), (direction,))
    np.testing.assert_allclose(tangent, np.roll(images, -1, axis=1), atol=1e-5)


def kernel_of(length, angle, size=15):
    """The image of one point in the middle."""
    point = np.zeros((1, size, size, 1), np.float32)
    point[0, size // 2, size // 2, 0] = 1.0
    return np.asarray(motion_blur(size, size, length, angle)(point))[0, :, :, 0]


@pytest.mark.parametrize(
    ("length", "angle"), [(1.0, 70.0), (5, 0), (4, 90), (7, 45), (9.5, 20), (12.3, -60), (6, 200)]
)
def test_motion_blur_is_the_time_that_a_point_spends_in_each_pixel(length, angle):
    steps = (np.arange(200_000) + 0.5) / 200_000 - 0.5
    rows = -np.sin(np.radians(angle)) * length * steps
    columns = np.cos(np.radians(angle)) * length * steps
    # A hair off the middle, as 45 degrees would run through the corners.
    edges = np.arange(16) - 7.5 + 1e-7
    expected = np.histogram2d(rows, columns, bins=(edges, edges))[0] / len(steps)
    kernel = kernel_of(length, angle)
    np.testing.assert_allclose(kernel, expected, atol=5e-5)
    assert abs(kernel.sum() - 1.0) < 1e-5


def test_motion_blur_runs_counterclockwise_from_the_right():
    kernel = kernel_of(9.0, 20.0)
    rows, columns = np.indices(kernel.shape) - 7
    assert (kernel * -rows * columns).sum() > 1.0
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-6)
    np.testing.assert_allclose(kernel_of(9.0, 110.0), np.rot90(kernel), atol=1e-6)


def test_matrix_multiplies_flattened_examples(images):
    matrix = np.random.default_rng(8).normal(size=(5, 8 * 12 * 3))
    operator = Matrix.from_array(matrix, (8, 12, 3))
    expected = images.reshape(2, -1).astype(np.float64) @ matrix.T
    np.testing.assert_allclose(operator(images), expected, atol=1e-4)
    points = np.float32([[1.0, 2.0]])
    np.testing.assert_array_equal(Matrix.from_array([[3.0, -1.0]])(points), [[1.0]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: block_average(8, 12, 3), "`factor` must be at least 1 and divide .* 8x12 images"),
        (lambda: block_average(8, 12, 0), "`factor` must be at least 1.*: got factor=0"),
        (lambda: bicubic(9, 8, 2), "`factor` must be at least 1 and divide .* 9x8 images"),
        (lambda: gaussian_blur(8, 8, 0.0), "`deviation` must be positive.*: got deviation=0.0"),
        (lambda: gaussian_blur(8, 8, np.nan), "`deviation` must be positive.*: got deviation=nan"),
        (lambda: motion_blur(8, 8, 0.5, 0.0), "`length` must be at least 1.*: got length=0.5"),
        (lambda: motion_blur(8, 8, 12, 90.0), "`length` must let the line fit in 8x8 images"),
        (lambda: Convolution.from_kernel(np.ones((9, 2)), 8, 8), "`kernel` must be a matrix not"),
        (lambda: Convolution.from_kernel(np.ones(3), 8, 8), "`kernel` must be a matrix not"),
        (lambda: Separable.from_matrices(np.ones(3), np.eye(2)), "`rows` must be a matrix"),
        (lambda: Separable.from_matrices(np.eye(2), np.ones(3)), "`columns` must be a matrix"),
        (lambda: Matrix.from_array(np.ones(3)), "`matrix` must have two dimensions"),
        (lambda: Matrix.from_array(np.ones((2, 6)), (2, 2)), "`shape` must hold as many .* 6"),
    ],
)
def test_what_cannot_be_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()


IMAGE, SMALL = np.ones((2, 8, 12, 3), np.float32), np.ones((2, 4, 6, 3), np.float32)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: block_average(8, 12, 2)(SMALL), r"\[batch, 8, 12, channels\].*\(2, 4, 6, 3\)"),
        (lambda: block_average(8, 12, 2).adjoint(IMAGE), r"\[batch, 4, 6, channels\]"),
        (lambda: block_average(8, 12, 2).solve(IMAGE, 1.0, 0.0), r"\[batch, 4, 6, channels\]"),
        (lambda: motion_blur(8, 12, 3, 0)(SMALL), r"\[batch, 8, 12, channels\].*\(2, 4, 6, 3\)"),
        (lambda: motion_blur(8, 12, 3, 0)(IMAGE[0]), r"\[batch, 8, 12, channels\]"),
        (lambda: grey()(IMAGE[..., :2]), "`weights` must be one for each channel"),
        (lambda: grey().adjoint(IMAGE), "y must have one channel"),
        (lambda: grey().solve(IMAGE, 1.0, 0.0), "y must have one channel"),
        (lambda: Mask(jnp.ones((4, 6, 1)))(IMAGE), r"`known` must .*: got shape \(4, 6, 1\)"),
        (lambda: Mask(jnp.ones((3, 8, 12, 1)))(IMAGE), r"`known` must .*: got shape \(3, 8"),
        (lambda: Mask(jnp.ones((8, 12)))(IMAGE), r"`known` must have the shape of the examples"),
        (lambda: Matrix.from_array(np.eye(3))(IMAGE), r"x must be \[batch, \*\(3,\)\]"),
        (lambda: Matrix.from_array(np.eye(3)).adjoint(IMAGE), r"y must be \[batch, 3\]"),
        (lambda: Matrix.from_array(np.eye(3)).solve(IMAGE, 1.0, 0.0), r"y must be \[batch, 3\]"),
    ],
)
def test_what_does_not_fit(use, message):
    with pytest.raises(ValueError, match=message):
        use()
