"""Distributions in the plane, with about unit standard deviation in each coordinate."""

import abc
import dataclasses
import math
from typing import Annotated

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, PRNGKeyArray
from sde_jax.data.rows import EmptyRows
from sde_jax.data.scaling import PointScaling
from sde_jax.data.source import ENDLESS, Batch, DataSource, DataSpec, Layout
from sde_jax.data.splits import TEST, TRAIN
from sde_jax.validation import FINITE, Spec

TEST_SIZE = 10_000
TEST_SEED = 10_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Distribution(Spec, DataSpec):
    """A distribution, drawn without end; by default of points in the plane."""

    @property
    def classes(self) -> int | None:
        """Number of labels, counted from 0; None for points without labels."""
        return None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of an example."""
        return (2,)

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray) -> Batch:
        """Returns one example of ``shape``, with its label if it has one."""

    def layout(self) -> Layout:
        """Returns shape and scaling."""
        return Layout(self.shape, PointScaling())

    def load(self) -> DataSource:
        """Returns a source of fresh examples for training and 10,000 fixed ones for testing.

        The epoch of ``stream`` never ends. The test examples of ``batches`` are the same for every
        key.
        """
        return DataSource(
            {
                split: EmptyRows(size, classes=self.classes)
                for split, size in ((TRAIN, ENDLESS), (TEST, TEST_SIZE))
            },
            self,
            shape=self.shape,
            scaling=PointScaling(),
            fixed_keys={TEST: jax.random.key(TEST_SEED, impl="threefry2x32")},
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ring(Distribution):
    """Uniform angle, Gaussian radius: ``(radius + deviation n) (cos a, sin a)``.

    Each coordinate has mean 0 and variance ``(radius^2 + deviation^2) / 2``.

    Raises:
      ValueError: if a field is not positive.
    """

    radius: Annotated[float, FINITE] = 1.4
    """Mean distance from the origin."""

    deviation: Annotated[float, FINITE] = 0.1
    """Standard deviation of the distance from the origin."""

    def sample(self, key: PRNGKeyArray) -> Batch:
        """Returns one point, without a label."""
        key_angle, key_radius = jax.random.split(key)
        angle = jax.random.uniform(key_angle, maxval=2 * math.pi)
        radius = self.radius + self.deviation * jax.random.normal(key_radius)
        return Batch(radius * _direction(angle), None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GaussianMixture(Distribution):
    """Equal round Gaussians, their means evenly spaced on a circle; the label is the component.

    Component ``k`` of K has mean ``radius (cos 2 pi k / K, sin 2 pi k / K)``.

    Raises:
      ValueError: if a field is not positive.
    """

    components: Annotated[int, FINITE] = 8
    """Number of Gaussians K."""

    radius: Annotated[float, FINITE] = 1.4
    """Distance of their means from the origin."""

    deviation: Annotated[float, FINITE] = 0.1
    """Standard deviation of each in each coordinate."""

    @property
    def classes(self) -> int:
        """Number of components."""
        return self.components

    def sample(self, key: PRNGKeyArray) -> Batch:
        """Returns one point and its component."""
        key_component, key_noise = jax.random.split(key)
        component = jax.random.randint(key_component, (), 0, self.components)
        mean = self.radius * _direction(2 * math.pi * component / self.components)
        return Batch(mean + self.deviation * jax.random.normal(key_noise, (2,)), component)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SwissRoll(Distribution):
    """A spiral of one and a half turns with Gaussian noise: ``a / 7 (cos a, sin a) + deviation n``.

    The angle ``a`` is uniform from 1.5 pi to 4.5 pi, as in scikit-learn's ``make_swiss_roll``; the
    division gives about unit standard deviation.

    Raises:
      ValueError: if a field is not positive.
    """

    deviation: Annotated[float, FINITE] = 0.05
    """Standard deviation of the noise in each coordinate."""

    def sample(self, key: PRNGKeyArray) -> Batch:
        """Returns one point, without a label."""
        key_angle, key_noise = jax.random.split(key)
        angle = jax.random.uniform(key_angle, minval=1.5 * math.pi, maxval=4.5 * math.pi)
        noise = self.deviation * jax.random.normal(key_noise, (2,))
        return Batch(angle / 7.0 * _direction(angle) + noise, None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkerboard(Distribution):
    """Uniform on the dark squares of a board, whose row and column add up to an even number.

    Raises:
      ValueError: if a field is not positive, or ``squares`` is odd.
    """

    squares: Annotated[int, FINITE] = 4
    """Squares along a side, an even number."""

    half_width: Annotated[float, FINITE] = 1.75
    """The board covers -half_width to half_width in both coordinates."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.squares % 2:
            raise ValueError(
                f"`squares` must be even, so that all rows are alike: got {self.squares}"
            )

    def sample(self, key: PRNGKeyArray) -> Batch:
        """Returns one point, without a label."""
        key_column, key_row, key_place = jax.random.split(key, 3)
        column = jax.random.randint(key_column, (), 0, self.squares)
        row = 2 * jax.random.randint(key_row, (), 0, self.squares // 2) + column % 2
        place = jnp.stack([column, row]) + jax.random.uniform(key_place, (2,))
        return Batch(self.half_width * (2 * place / self.squares - 1), None)


def _direction(angle: Float[Array, ""]) -> Float[Array, "2"]:
    return jnp.stack([jnp.cos(angle), jnp.sin(angle)])
