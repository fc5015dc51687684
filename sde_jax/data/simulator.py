"""Parameters with their simulations: data whose conditional density is a posterior."""

import abc
import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from sde_jax.arrays import Float
from sde_jax.data.box_scaling import BoxScaling
from sde_jax.data.rows import DeviceRows
from sde_jax.data.source import DataSource, DataSpec, Layout
from sde_jax.data.splits import TEST, TRAIN
from sde_jax.data.transform import Dequantize
from sde_jax.validation import Rule, Spec, at_least

SHARE = Rule("lie between 0 and 1", lambda share: 0 < share < 1)

Rows = Float[np.ndarray, "count size"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Simulator(Spec, DataSpec):
    """Parameters of a uniform prior as examples, each with a simulation as conditioning vector.

    The density of an example given its vector is the posterior ``p(parameters | simulation)``
    (neural posterior estimation, Papamakarios and Murray 2016, arXiv:1605.06376). The model sees
    the parameters without bounds: see `BoxScaling`. A subclass states the prior and simulates.
    """

    count: Annotated[int, at_least(10)] = 10_000
    """Number of simulations, with those held out."""
    seed: Annotated[int, at_least(0)] = 0
    """Seed of parameters and simulations."""
    held_out: Annotated[float, SHARE] = 0.1
    """Share of the simulations that is held out as the test split."""

    prior: ClassVar[BoxScaling]
    """The box of the uniform prior."""

    @abc.abstractmethod
    def simulate(self, rng: np.random.Generator, parameters: Rows) -> Rows:
        """Returns a simulation for each row of parameters, ``[count, size]``."""

    def draw(self, rng: np.random.Generator, count: int) -> tuple[Rows, Rows]:
        """Draws parameters from the prior, and simulates each once."""
        prior = self.prior
        parameters = rng.uniform(prior.low, prior.high, (count, len(prior.low)))
        return parameters, self.simulate(rng, parameters)

    def simulations(self) -> tuple[Rows, Rows]:
        """Returns the parameters and simulations of all examples, the held-out ones last."""
        return self.draw(np.random.default_rng(self.seed), self.count)

    def layout(self) -> Layout:
        """Returns the shape of the parameters, and their scaling."""
        return Layout((len(self.prior.low),), self.prior)

    def load(self) -> DataSource:
        """Simulates all examples."""
        (shape, scaling), (parameters, simulations) = self.layout(), self.simulations()
        columns = self.prior.to_model(parameters), simulations.astype(np.float32)
        train = self.count - min(max(round(self.held_out * self.count), 1), self.count - 1)
        places = {TRAIN: slice(None, train), TEST: slice(train, None)}
        return DataSource(
            {
                split: DeviceRows(columns[0][place], None, columns[1][place])
                for split, place in places.items()
            },
            Dequantize(),
            shape=shape,
            scaling=scaling,
            condition_size=simulations.shape[1],
        )
