"""What every linear operator promises: its adjoint, its division by A A^T, one compilation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from measurements import (
    MAKERS,
    each_operator,
    flat,
    matrix_of,
    matrix_of_function,
    norm_error,
    operator_of,
)

from sde_jax.operators import (
    CUTOFF,
    Channels,
    Convolution,
    Mask,
    Matrix,
    Separable,
    gaussian_blur,
    pseudo_inverse,
)
from sde_jax.training.devices import batch_sharding, data_mesh

PAIRS = [(1.0, 0.0), (2.5, 0.0), (1.3, 0.2), (0.0, 0.5), (0.0, 0.0), (3.0, 1e-3)]


def drawn(key, name, batch=3):
    """The operator, lopsided examples of it and as lopsided measurements."""
    operator, shape = operator_of(name)
    random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    x = random.normal(0.7, 0.4, (batch, *shape)).astype(np.float32)
    measured = jax.eval_shape(operator, x).shape
    y = random.normal(0.7, 0.4, measured).astype(np.float32)
    return operator, jnp.asarray(x), jnp.asarray(y)


def divided(matrix, y, variance, noise_variance):
    """What `solve` has to give, by numpy in float64; the cutoff of A A^T is that of A, squared."""
    covariance = variance * matrix @ matrix.T + noise_variance * np.eye(len(matrix))
    if noise_variance == 0:
        inverse = np.linalg.pinv(covariance, rcond=CUTOFF**2, hermitian=True)
    else:
        inverse = np.linalg.inv(covariance)
    return flat(y) @ inverse


@each_operator
def test_adjoint_moves_the_operator_to_the_other_side(key, name):
    operator, x, y = drawn(key, name)
    measured, adjoint = jax.jit(lambda x, y: (operator(x), operator.adjoint(y)))(x, y)
    assert adjoint.shape == x.shape
    left = (flat(measured) * flat(y)).sum(axis=1)
    right = (flat(x) * flat(adjoint)).sum(axis=1)
    rounding = 1e-6 * np.linalg.norm(flat(measured), axis=1) * np.linalg.norm(flat(y), axis=1)
    np.testing.assert_array_less(abs(left - right), 1e-5 * abs(left) + rounding + 1e-30)


@each_operator
def test_matrix_of_the_adjoint_is_the_transpose(key, name):
    operator, _, y = drawn(key, name)
    matrix, transpose = matrix_of(name), matrix_of_function(operator.adjoint, y.shape[1:])
    np.testing.assert_allclose(transpose, matrix.T, atol=1e-6 * max(abs(matrix).max(), 1.0))


@each_operator
def test_solve_inverts_the_covariance(key, name):
    operator, _, y = drawn(key, name)
    matrix = matrix_of(name)
    solve = jax.jit(lambda y, variance, noise_variance: operator.solve(y, variance, noise_variance))
    for variance, noise_variance in PAIRS:
        actual = solve(y, variance, noise_variance)
        error = norm_error(actual, divided(matrix, y, variance, noise_variance))
        limit = 1e-4 if noise_variance == 0 else 2e-6
        assert error < limit, f"{variance=}, {noise_variance=}: {error}"


@each_operator
def test_each_example_has_variances_of_its_own(key, name):
    operator, _, y = drawn(key, name, batch=4)
    matrix = matrix_of(name)
    variances, noise_variances = np.float32([1.0, 0.3, 2.0, 0.0]), np.float32([0.0, 0.5, 0.1, 0.2])
    solve = jax.jit(lambda y, variance, noise_variance: operator.solve(y, variance, noise_variance))
    together = solve(y, variances, noise_variances)
    for n, (variance, noise_variance) in enumerate(zip(variances, noise_variances, strict=True)):
        expected = divided(matrix, y[n : n + 1], variance, noise_variance)
        assert norm_error(together[n : n + 1], expected) < 1e-4, n


@each_operator
def test_pseudo_inverse_is_that_of_numpy_and_measures_the_same(key, name):
    """``A^+`` with this cutoff, and ``A A^+ A = A`` up to what is cut off."""
    operator, x, y = drawn(key, name)
    matrix = matrix_of(name)
    singular = np.linalg.svd(matrix, compute_uv=False)
    cut_off = singular[singular <= CUTOFF * singular[0]].max(initial=0.0)

    @jax.jit
    def measured_twice(x, y):
        once = operator(x)
        return pseudo_inverse(operator, y), once, operator(pseudo_inverse(operator, once))

    inverse, once, again = measured_twice(x, y)
    assert norm_error(inverse, flat(y) @ np.linalg.pinv(matrix, rcond=CUTOFF).T) < 1e-4
    errors = np.linalg.norm(flat(again) - flat(once), axis=1)
    limits = (cut_off + 1e-5 * singular[0]) * np.linalg.norm(flat(x), axis=1)
    assert np.all(errors <= limits), errors / limits


def test_directions_up_to_the_cutoff_are_measured_with_noise_alone():
    """The cutoff is one of singular values, of the product of rows and columns."""
    matrix = Matrix.from_array(np.diag([2.0, 2.2e-3, 1.8e-3]))
    y = jnp.asarray([[2.0, 2.2e-3, 1.8e-3]])
    np.testing.assert_allclose(pseudo_inverse(matrix, y), [[1.0, 1.0, 0.0]], rtol=1e-5)
    squares = np.asarray(y) ** 2
    np.testing.assert_allclose(matrix.solve(y, 1.0, 1e-6), y / (squares + 1e-6), rtol=1e-5)
    separable = Separable.from_matrices(np.diag([1.0, 0.04]), np.diag([0.03, 1.0, 0.02]))
    inverse = pseudo_inverse(separable, separable(jnp.ones((1, 2, 3, 1))))[0, :, :, 0]
    np.testing.assert_allclose(inverse, [[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]], rtol=1e-5)
    waves = Convolution.from_kernel([[0.6, 0.4007]], 1, 2)
    alternating = jnp.asarray([1.0, -1.0]).reshape(1, 1, 2, 1)
    np.testing.assert_allclose(pseudo_inverse(waves, waves(alternating)), alternating, atol=1e-5)
    almost = Convolution.from_kernel([[0.5003, 0.4997]], 1, 2)
    np.testing.assert_allclose(pseudo_inverse(almost, almost(alternating)), 0.0, atol=1e-5)


@pytest.mark.parametrize("name", ["bicubic", "wide_matrix"])
def test_products_are_exact_on_every_device(name):
    """A GPU's own float32 product has but 10 bits."""
    operator, x, _ = drawn(jax.random.key(0), name)
    program = jax.make_jaxpr(lambda x: pseudo_inverse(operator, operator(x)))(x)
    products = [e for e in program.eqns if e.primitive.name == "dot_general"]
    highest = (jax.lax.Precision.HIGHEST,) * 2
    assert len(products) >= 4 and all(e.params["precision"] == highest for e in products)


QUICK = ("mask", "grey", "separable", "motion_blur", "wide_matrix")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in MAKERS],
)
def test_gradients_are_those_of_a_quadratic_form(key, name):
    """The gradient of ``y^T solve(y) / 2`` is ``solve(y)``, without noise, too."""
    operator, x, y = drawn(key, name)

    @jax.jit
    def value_and_gradients(x, y, noise_variance):
        def half_form(y):
            return 0.5 * jnp.vdot(y, operator.solve(y, 1.3, noise_variance))

        solved = operator.solve(y, 1.3, noise_variance)
        through = jax.grad(lambda x: half_form(operator(x)))(x)
        pulled = operator.adjoint(operator.solve(operator(x), 1.3, noise_variance))
        return solved, jax.grad(half_form)(y), through, pulled

    for noise_variance in (0.0, 0.2):
        solved, gradient, through, pulled = value_and_gradients(x, y, noise_variance)
        limit = 1e-4 if noise_variance == 0 else 2e-6
        assert norm_error(gradient, solved) < limit
        assert norm_error(through, pulled) < limit


def test_unknown_pixels_of_no_variance_have_no_gradient():
    """Neither y, variance nor noise variance get NaN where 0 would be divided by 0."""
    mask = Mask(jnp.asarray([1.0, 0.0]))

    def total(y, variance, noise_variance):
        return mask.solve(y, variance, noise_variance).sum()

    gradient = jax.jit(jax.grad(total, argnums=(0, 1, 2)))
    y = jnp.asarray([[3.0, 5.0]])
    np.testing.assert_allclose(gradient(y, 2.0, 0.0)[0], [[0.5, 0.0]])
    # d/dv of 3 / (v + n) at v = 2; where nothing divides, nothing changes.
    np.testing.assert_allclose(gradient(y, 2.0, 0.0)[1:], [-0.75, -0.75])
    for part in gradient(y, 0.0, 0.0):
        np.testing.assert_array_equal(part, np.zeros_like(part))


def test_64_masks_of_a_batch_are_each_its_own():
    random = np.random.default_rng(11)
    known = random.random((64, 4, 5, 1)) < 0.5
    x = jnp.asarray(random.normal(0.7, 0.4, (64, 4, 5, 3)), jnp.float32)

    @jax.jit
    def measured(mask, x):
        y = mask(x)
        return y, mask.adjoint(x), mask.solve(x, 2.0, 0.5), pseudo_inverse(mask, y)

    together = measured(Mask(jnp.asarray(known)), x)
    for n in range(64):
        alone = measured(Mask(jnp.asarray(known[n])), x[n : n + 1])
        for part, one in zip(together, alone, strict=True):
            np.testing.assert_array_equal(part[n : n + 1], one)
    np.testing.assert_array_equal(together[0], np.where(known, x, 0.0))


def several():
    """Three operators of each kind, which differ in their arrays alone."""
    random = np.random.default_rng(12)
    matrices = random.normal(size=(3, 4, 12))
    return {
        "mask": [Mask(jnp.asarray(random.random((2, 3, 2)) < 0.6)) for _ in range(3)],
        "channels": [Channels(jnp.asarray(w, jnp.float32)) for w in ([1, 2], [0, 3], [4, 1])],
        "separable": [gaussian_blur(2, 3, deviation) for deviation in (0.4, 0.5, 0.6)],
        "convolution": [Convolution.from_kernel(k, 2, 3) for k in random.normal(size=(3, 2, 3))],
        "matrix": [Matrix.from_array(matrix, (2, 3, 2)) for matrix in matrices],
    }


@pytest.mark.parametrize("kind", ["mask", "channels", "separable", "convolution", "matrix"])
def test_one_compilation_serves_all_values_and_stacks_of_operators(kind):
    operators, traces = several()[kind], []
    x = jnp.asarray(np.random.default_rng(13).normal(0.7, 0.4, (2, 2, 3, 2)), jnp.float32)

    def restored(operator, x, variance, noise_variance):
        traces.append(kind)
        return operator.adjoint(operator.solve(operator(x), variance, noise_variance))

    compiled = jax.jit(restored)
    variances, noise_variances = [1.0, 0.3, 2.0], [0.2, 0.0, 0.5]
    settings = zip(operators, variances, noise_variances, strict=True)
    one_by_one = [compiled(operator, x, *numbers) for operator, *numbers in settings]
    assert len(traces) == 1
    stack = jax.tree.map(lambda *leaves: jnp.stack(leaves), *operators)
    numbers = jnp.asarray([variances, noise_variances])
    together = jax.jit(jax.vmap(restored, in_axes=(0, None, 0, 0)))(stack, x, *numbers)
    np.testing.assert_allclose(together, jnp.stack(one_by_one), rtol=1e-4, atol=1e-5)
    assert not np.allclose(together[0], together[1], atol=1e-2)


@pytest.mark.parametrize("name", ["mask", "grey", "bicubic", "motion_blur", "wide_matrix"])
def test_a_batch_on_eight_devices_is_the_same(key, name):
    operator, x, _ = drawn(key, name, batch=8)
    spread = jax.device_put(x, batch_sharding(data_mesh()))

    def restored(x):
        return operator.adjoint(operator.solve(operator(x), 1.0, 0.1))

    together = jax.jit(lambda x: (restored(x), jax.grad(lambda x: (restored(x) ** 3).sum())(x)))
    for on_eight, on_one in zip(together(spread), together(x), strict=True):
        np.testing.assert_allclose(on_eight, on_one, rtol=1e-4, atol=1e-4)
