"""Every option of the U-Nets, with every value of every other, against the oracle.

The oracle gives the published outputs to the last digits of float64 (test_published_parity); here
it judges the combinations that were never published, in which every two values of two options meet.
Some of them always run; the others are slow.
"""

import itertools

import jax
import numpy as np
import pytest
from published import relative_error
from unet_oracle import UNet

from sde_jax.nets.ddpm import DDPMSpec
from sde_jax.nets.ncsnpp import NCSNppSpec

COMMON = {
    "multipliers": [(1, 2), (2, 1, 1), (1,)],
    "attention_resolutions": [(), (4,), (8, 2)],
    "activation": ["swish", "elu", "relu", "lrelu"],
    "resample_with_convolution": [True, False],
    "conditional": [True, False],
    "centered": [True, False],
    "scale_by_sigma": [True, False],
    "image_channels": [1, 3],
}
NCSNPP = COMMON | {
    "block": ["biggan", "ddpm"],
    "resampling_filter": [None, (1, 3, 3, 1), (1, 2, 1), (4, 1, 2), (1, 4, 6, 4, 1)],
    "progressive_input": ["none", "input_skip", "residual"],
    "progressive_output": ["none", "output_skip", "residual"],
    "combine": ["sum", "cat"],
    "embedding": ["positional", "fourier"],
    "skip_rescale": [True, False],
}

DDPM = COMMON | {
    "multipliers": [(1, 2), (2, 1, 1)],
    "activation": ["swish", "elu"],
    "attending_up": ["last", "every"],
    "head_channels": [None, 8],
    "pad_every_side": [False, True],
    "max_period": [10_000.0, 541.0],
    "norm_epsilon": [1e-6, 0.1],
}


def pairs_of(choice):
    return set(itertools.combinations(choice.items(), 2))


def covering(options):
    """Few choices in which every two values of different options meet."""
    rng = np.random.default_rng(0)
    missing = {
        pair
        for (a, values), (b, others) in itertools.combinations(options.items(), 2)
        for pair in itertools.product([(a, v) for v in values], [(b, v) for v in others])
    }
    choices = []
    while missing:
        candidates = [
            {name: values[rng.integers(len(values))] for name, values in options.items()}
            for _ in range(200)
        ]
        choices.append(max(candidates, key=lambda choice: len(pairs_of(choice) & missing)))
        missing -= pairs_of(choices[-1])
    return choices


def cases_of(options, *quick):
    """Those choices; they are slow but for the ``quick`` numbers."""
    return [
        pytest.param(choice, marks=() if number in quick else pytest.mark.slow)
        for number, choice in enumerate(covering(options))
    ]


def random_parameters(spec, shape):
    """Parameters of which none is zero, and frequencies as large as the published ones."""
    network = spec.build()
    inputs = np.zeros(shape, np.float32), np.zeros(shape[0], np.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), *inputs)["params"]
    rng = np.random.default_rng(1)

    def draw(path, leaf):
        scale = 16 if path[-1].key == "W" else 0.2
        return rng.normal(scale=scale, size=leaf.shape).astype(np.float32)

    return jax.tree.map_with_path(draw, shapes)


def hold_to_oracle(spec, channels, ddpm, sizes=(8, 8)):
    shape, rng = (2, *sizes, channels), np.random.default_rng(2)
    params = random_parameters(spec, shape)
    x = rng.normal(0.4, 1.3, shape).astype(np.float32)
    fourier = not ddpm and spec.embedding == "fourier"
    time = np.array([-3.1, 2.7] if fourier else [1.998, 731.4], np.float32)
    network = spec.build().clone(precision="highest")
    output = np.asarray(jax.jit(network.apply)({"params": params}, x, time))
    truth = UNet(spec, jax.tree.map(np.float64, params), ddpm)(np.float64(x), np.float64(time))
    assert relative_error(output, truth, by_example=True) <= 2e-5


@pytest.mark.parametrize("choice", cases_of(NCSNPP, 0, 5, 6))
def test_ncsnpp(choice):
    choice = dict(choice)
    channels = choice.pop("image_channels")
    hold_to_oracle(NCSNppSpec(channels=8, blocks_per_level=1, **choice), channels, ddpm=False)


@pytest.mark.parametrize("choice", cases_of(DDPM, 1))
def test_ddpm(choice):
    choice = dict(choice)
    channels = choice.pop("image_channels")
    hold_to_oracle(DDPMSpec(channels=32, blocks_per_level=1, **choice), channels, ddpm=True)


@pytest.mark.slow("test_ncsnpp")
def test_odd_width_and_several_blocks():
    spec = NCSNppSpec(channels=5, multipliers=(1,), blocks_per_level=2)
    hold_to_oracle(spec, 2, ddpm=False)
