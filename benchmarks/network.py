"""How many images do a network and its training take in a second?

    python -m benchmarks network

DDPM++ against PyTorch with the same weights: one evaluation of a batch of 16, and one training
step on a batch of 32 (forward, backward, clipping, Adam, running average). Float32 on a CPU; on a
GPU bfloat16, where also the share of the device's own matrix products is measured that training
reaches.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.ddpmpp import (
    Inputs,
    M,
    S,
    Size,
    compute_dtype,
    example,
    first_state,
    precise,
    timed,
)
from benchmarks.row import Asked, Row, Spread, not_installed
from benchmarks.timing import Compiled, compiled, fastest, paired, per_second, seconds, spread
from experiments.cifar10 import cifar10_vp
from sde_jax.arrays import Array, PyTree
from sde_jax.data import Batch
from sde_jax.objectives import DenoisingScoreMatching
from sde_jax.recipes.score import ScoreExperiment
from sde_jax.training.compiled import update_options
from sde_jax.training.learner import Learner
from sde_jax.training.optimizer import Adam

FORWARD, TRAINING, LARGE = 16, 32, 256
"""Images in a batch."""
AGREES = {"float32": 1e-4, "bfloat16": 5e-2}
"""How far outputs may lie apart, in units of their deviation."""
SAME_GRADIENT = 1e-4
SIDE = 8192
"""Of the large matrix product."""


def rows(asked: Asked) -> Iterator[Row]:
    """A row for each size and kind, and one for the share of the ceiling."""
    for size in (S,) if asked.quick else (S, M):
        yield evaluation(size, asked)
        yield training(size, asked)
    yield utilisation()


def evaluation(size: Size, asked: Asked) -> Row:
    """One evaluation."""
    inputs, module = example(size, FORWARD), timed(size)
    program = compiled(lambda p, x, time: module.apply({"params": p}, x, time), *inputs)
    ours, repeats = lambda: program.call(*inputs), 5 if asked.quick else 15
    row = {
        "case": f"{size.name}, an evaluation of {FORWARD} images, {compute_dtype()}",
        "unit": "images/s",
        "at_least": 1.0 if precise() else 1.2,
        **taken(program),
    }
    try:
        from benchmarks import torch_peer
    except ModuleNotFoundError as error:
        alone = first_alone(module, inputs, ours())
        return without_peer(row, error, rate(ours, repeats, FORWARD), alone)
    calls = {v.name: torch_peer.evaluation(v, size, inputs) for v in torch_peer.variants()}
    name = fastest(calls)
    difference = apart(ours(), calls[name]().cpu())
    pairs = paired(ours, calls[name], repeats=repeats)
    return Row(
        **row,
        ours=per_second(pairs.ours, FORWARD),
        peer=name,
        theirs=per_second(pairs.theirs, FORWARD),
        ratio=pairs.ratio,
        checked=f"outputs differ by at most {difference:.0e} of their deviation",
    )


def training(size: Size, asked: Asked) -> Row:
    """One training step."""
    learner = timed_experiment(size).learner(size.shape)
    params, key, batch = example(size, 1).params, jax.random.key(1), images(size, TRAINING)
    state = first_state(learner, jax.tree.map(jnp.array, params))
    program = update(learner, state, key, batch)
    losses: list[Array] = []

    def ours() -> Any:
        nonlocal state
        state, metrics = program.call(state, jax.random.fold_in(key, len(losses)), batch)
        losses.append(metrics["loss"])
        return state

    row = {
        "case": f"{size.name}, a training step of {TRAINING} images, {compute_dtype()}",
        "unit": "images/s",
        "at_least": 0.7 if precise() else 1.2,
        **taken(program),
    }
    repeats = 5 if asked.quick else 9
    try:
        from benchmarks import torch_peer
    except ModuleNotFoundError as error:
        figure = rate(ours, repeats, TRAINING)
        return without_peer(row, error, figure, learned(losses))
    checked = same_gradient(size)
    calls = {
        v.name: torch_peer.training_step(v, size, params, batch.x) for v in torch_peer.variants()
    }
    name = fastest(calls)
    pairs = paired(ours, calls[name], repeats=repeats)
    return Row(
        **row,
        ours=per_second(pairs.ours, TRAINING),
        peer=name,
        theirs=per_second(pairs.theirs, TRAINING),
        ratio=pairs.ratio,
        checked=f"{checked}; {learned(losses)}",
    )


def utilisation() -> Row:
    """The share of the device's own matrix products that training reaches."""
    row = {
        "case": f"{M.name}, training on {LARGE} images, bfloat16",
        "unit": "TFLOP/s",
        "peer": f"a matrix product of {SIDE} x {SIDE}, bfloat16",
        "at_least": 0.35,
    }
    if precise():
        return Row(**row, missing="it needs a GPU", checked="")
    learner = timed_experiment(M).learner(M.shape)
    state, key = first_state(learner, example(M, 1).params), jax.random.key(1)
    batch = images(M, LARGE)
    program = update(learner, state, key, batch)
    losses: list[Array] = []

    def ours() -> Any:
        nonlocal state
        state, metrics = program.call(state, key, batch)
        losses.append(metrics["loss"])
        return state

    factor = jax.random.normal(jax.random.key(0), (SIDE, SIDE), jnp.bfloat16)
    product = jax.jit(jnp.matmul)
    pairs = paired(ours, lambda: product(factor, factor), repeats=15, warm_up=3)
    done, ceiling = 3 * operations(M, LARGE) / 1e12, 2 * SIDE**3 / 1e12
    return Row(
        **row,
        **taken(program),
        ours=per_second(pairs.ours, 1).scaled(done),
        theirs=per_second(pairs.theirs, 1).scaled(ceiling),
        ratio=pairs.ratio.scaled(done / ceiling),
        checked=learned(losses),
    )


def operations(size: Size, batch: int) -> float:
    """Of an evaluation, as XLA counts them before it chooses kernels."""
    module = size.spec.build()
    shapes = jax.eval_shape(lambda: example(size, batch))
    lowered = jax.jit(lambda p, x, time: module.apply({"params": p}, x, time)).lower(*shapes)
    return lowered.cost_analysis()["flops"]


def update(learner: Learner, *inputs: Any) -> Compiled:
    """A training step for these inputs, as the library compiles it; it gives up the state."""
    options = update_options(jax.default_backend())
    return compiled(learner.update, *inputs, donate_argnums=0, compiler_options=options)


def timed_experiment(size: Size) -> ScoreExperiment:
    """CIFAR-10's, with the network."""
    return dataclasses.replace(
        cifar10_vp(),
        network=size.spec,
        compute_dtype=compute_dtype(),
        optimizer=Adam(),
        ema_decay=0.999,
        ema_warmup=False,
    )


def images(size: Size, count: int) -> Batch:
    """Of uniform noise."""
    shape = (count, *size.shape)
    return Batch(jax.random.uniform(jax.random.key(2), shape, minval=-1.0, maxval=1.0), None)


def taken(program: Compiled) -> dict[str, Any]:
    """What a row says of a program."""
    return {"compile_seconds": program.seconds, "peak_bytes": program.peak_bytes}


def rate(call: Callable[[], Any], repeats: int, count: int) -> Spread:
    """Images per second of ours alone."""
    seconds(call)
    return per_second(spread([seconds(call) for _ in range(repeats)]), count)


def without_peer(row: dict[str, Any], error: ModuleNotFoundError, ours: Spread, found: str) -> Row:
    """A row where PyTorch is missing."""
    return Row(**row, ours=ours, peer="PyTorch", missing=not_installed(error), checked=found)


def apart(ours: Any, theirs: Any) -> float:
    """The largest difference of two outputs in units of their deviation.

    Raises:
      AssertionError: if it is more than rounding.
    """
    first, second = np.asarray(ours), np.asarray(theirs)
    difference = float(np.abs(first - second).max() / first.std())
    assert difference < AGREES[compute_dtype()], f"outputs differ by {difference:.1e}"
    return difference


def first_alone(module: Any, inputs: Inputs, output: Array) -> str:
    """That an image's output does not depend on the others."""
    params, x, time = inputs
    alone = jax.jit(module.apply)({"params": params}, x[:1], time[:1])
    return f"as alone but for {apart(output[:1], alone):.0e} of the deviation"


def same_gradient(size: Size) -> str:
    """That the gradient of the loss is PyTorch's, at given times and noise, without dropout."""
    from benchmarks import torch_peer

    count = 4
    objective = DenoisingScoreMatching(
        model=dataclasses.replace(cifar10_vp(), network=size.spec).model()
    )
    params, noise, _ = example(size, count)
    x0, t = images(size, count).x, jnp.linspace(0.05, 0.95, count)

    def mean_loss(params: PyTree) -> Array:
        return objective.losses_at(params, x0, t, noise).mean()

    with jax.default_matmul_precision("highest"):
        options = update_options(jax.default_backend())
        gradient = jax.jit(jax.grad(mean_loss), compiler_options=options)(params)
    difference = torch_peer.gradient_difference(size, gradient, params, x0, t, noise)
    assert difference < SAME_GRADIENT, f"gradients differ by {difference:.1e}"
    return f"float32 gradients differ by {difference:.0e} of their norm"


def learned(losses: list[Array]) -> str:
    """That the loss falls on a batch that is seen again and again."""
    first, last = float(losses[0]), float(losses[-1])
    assert last < first, f"the loss went from {first} to {last}"
    return f"the loss fell from {first:.3f} to {last:.3f} in {len(losses)} steps"
