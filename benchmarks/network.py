"""Measures the throughput of evaluations and training steps of DDPM++ against PyTorch.

    python -m benchmarks network

Both networks have the same weights. A row times one evaluation of 16 images, or one training step
on 32 images (forward, backward, clipping, Adam, running average), in float32 on a CPU and in
bfloat16 on a GPU. On a GPU a further row compares the FLOP rate of training with the device's own
matrix product.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.ddpmpp import (
    Inputs,
    M,
    S,
    Size,
    compile_evaluation,
    compute_dtype,
    example_inputs,
    on_cpu,
    output_difference,
)
from benchmarks.peer_process import PeerProcess
from benchmarks.row import BenchmarkOptions, Row, Spread, not_installed, spread
from benchmarks.timing import per_second, time_call, time_pairs
from benchmarks.training_step import TrainingStep, check_loss_falls
from experiments.cifar10 import cifar10_vp
from sde_jax.arrays import Array, PyTree
from sde_jax.data import Batch
from sde_jax.objectives import DenoisingScoreMatching
from sde_jax.recipes import ScoreExperiment
from sde_jax.training import Adam, update_options

FORWARD, TRAINING, LARGE = 16, 32, 256
"""Batch sizes of an evaluation, of a training step, and of the row on the FLOP rate."""
GRADIENT_TOLERANCE = 1e-4
SIDE = 8192
"""Rows and columns of the factors of the large matrix product."""


def rows(options: BenchmarkOptions) -> Iterator[Row]:
    """Yields an evaluation and a training step of each size, and the FLOP rate."""
    for size in (S,) if options.quick else (S, M):
        yield evaluation(size, options)
        yield training(size, options)
    yield utilisation()


def evaluation(size: Size, options: BenchmarkOptions) -> Row:
    """Times one evaluation."""
    inputs = example_inputs(size, FORWARD)
    program = compile_evaluation(size, inputs)
    ours, repeats = lambda: program.call(*inputs), 5 if options.quick else 15
    row = {
        "case": f"{size.name}, an evaluation of {FORWARD} images, {compute_dtype()}",
        "unit": "images/s",
        "at_least": 1.0 if on_cpu() else 1.2,
        **program.costs(),
    }
    try:
        with peer_process("fastest_evaluation", size, inputs) as peer:
            difference = output_difference(ours(), peer())
            pairs = time_pairs(ours, peer, repeats=repeats)
    except ModuleNotFoundError as error:
        checked = first_alone(size, inputs, ours())
        return without_peer(row, error, rate(ours, repeats, FORWARD), checked)
    return Row(
        **row,
        **pairs.rates(FORWARD),
        **program.roofline(pairs.ours.value, compute_dtype()),
        peer=peer.name,
        checked=f"outputs differ by at most {difference:.0e} of their deviation",
    )


def training(size: Size, options: BenchmarkOptions) -> Row:
    """Times one training step."""
    batch = noise_images(size, TRAINING)
    ours = TrainingStep(timed_experiment(size).learner(size.shape), batch)
    repeats = 5 if options.quick else 9
    row = {
        "case": f"{size.name}, a training step of {TRAINING} images, {compute_dtype()}",
        "unit": "images/s",
        "at_least": 0.7 if on_cpu() else 1.2,
        **ours.program.costs(),
    }
    params = example_inputs(size, 1).params
    try:
        checked = check_gradient(size)
        with peer_process("fastest_training_step", size, params, batch.x) as peer:
            pairs = time_pairs(ours, peer, repeats=repeats)
    except ModuleNotFoundError as error:
        measured = rate(ours, repeats, TRAINING)
        return without_peer(row, error, measured, check_loss_falls(ours.losses))
    return Row(
        **row,
        **pairs.rates(TRAINING),
        **ours.program.roofline(pairs.ours.value, compute_dtype()),
        peer=peer.name,
        checked=f"{checked}; {check_loss_falls(ours.losses)}",
    )


def peer_process(builder: str, *arguments: Any) -> PeerProcess:
    """Returns a process that runs PyTorch's form of a call."""
    return PeerProcess("torch", "benchmarks.torch_peer", builder, *jax.device_get(arguments))


def utilisation() -> Row:
    """Compares the FLOP rate of training with that of the device's own matrix product."""
    row = {
        "case": f"{M.name}, training on {LARGE} images, bfloat16",
        "unit": "TFLOP/s",
        "peer": f"a matrix product of {SIDE} x {SIDE}, bfloat16",
        "at_least": 0.35,
    }
    if on_cpu():
        return Row(**row, missing="it needs a GPU", checked="")
    ours = TrainingStep(timed_experiment(M).learner(M.shape), noise_images(M, LARGE))
    factor = jax.random.normal(jax.random.key(0), (SIDE, SIDE), jnp.bfloat16)
    product = jax.jit(jnp.matmul)
    pairs = time_pairs(ours, lambda: product(factor, factor), repeats=15, warm_up=3)
    return Row(
        **row,
        **ours.program.costs(),
        **pairs.rates(3 * evaluation_flops(M, LARGE) / 1e12, 2 * SIDE**3 / 1e12),
        checked=check_loss_falls(ours.losses),
    )


def evaluation_flops(size: Size, batch: int) -> float:
    """Returns the operations of an evaluation, as XLA counts them before it chooses kernels."""
    module = size.spec.build()
    shapes = jax.eval_shape(lambda: example_inputs(size, batch))
    lowered = jax.jit(lambda p, x, time: module.apply({"params": p}, x, time)).lower(*shapes)
    return lowered.cost_analysis()["flops"]


def timed_experiment(size: Size) -> ScoreExperiment:
    """Returns the CIFAR-10 experiment with this network."""
    return dataclasses.replace(
        cifar10_vp(),
        network=size.spec,
        compute_dtype=compute_dtype(),
        optimizer=Adam(),
        ema_decay=0.999,
        ema_warmup=False,
    )


def noise_images(size: Size, count: int) -> Batch:
    """Returns images of uniform noise."""
    shape = (count, *size.shape)
    return Batch(jax.random.uniform(jax.random.key(2), shape, minval=-1.0, maxval=1.0), None)


def rate(call: Callable[[], Any], repeats: int, count: int) -> Spread:
    """Returns our images per second, measured without a peer."""
    time_call(call)
    return per_second(spread([time_call(call) for _ in range(repeats)]), count)


def without_peer(row: dict[str, Any], error: ModuleNotFoundError, ours: Spread, found: str) -> Row:
    """Returns the row of a measurement without PyTorch."""
    return Row(**row, ours=ours, peer="PyTorch", missing=not_installed(error), checked=found)


def first_alone(size: Size, inputs: Inputs, output: Array) -> str:
    """Checks that an image's output does not depend on the other images of its batch."""
    alone = Inputs(inputs.params, inputs.x[:1], inputs.time[:1])
    difference = output_difference(output[:1], compile_evaluation(size, alone).call(*alone))
    return f"as alone but for {difference:.0e} of the deviation"


def check_gradient(size: Size) -> str:
    """Checks the gradient of the loss against PyTorch's, at given times and noise, no dropout.

    Raises:
      AssertionError: if the gradients differ by more than rounding.
    """
    count = 4
    objective = DenoisingScoreMatching(
        model=dataclasses.replace(cifar10_vp(), network=size.spec).model()
    )
    params, noise, _ = example_inputs(size, count)
    x0, t = noise_images(size, count).x, jnp.linspace(0.05, 0.95, count)

    def mean_loss(params: PyTree) -> Array:
        return objective.losses_at(params, x0, t, noise).mean()

    with jax.default_matmul_precision("highest"):
        compiler_options = update_options(jax.default_backend())
        gradient = jax.jit(jax.grad(mean_loss), compiler_options=compiler_options)(params)
    arguments = size, gradient, params, x0, t, noise
    with peer_process("gradient_difference_of", *arguments) as peer:
        difference = peer()
    assert difference < GRADIENT_TOLERANCE, f"gradients differ by {difference:.1e}"
    return f"float32 gradients differ by {difference:.0e} of their norm"
