"""The programs that a GPU would run, lowered on any machine and read.

XLA's passes for a GPU come later. What these tests see is what it is given: layouts, types,
donations and callbacks, and, from a compilation for eight CPU devices, the messages between them.
"""

import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest
from jax._src.cudnn import fused_attention_stablehlo

from experiments.digits import digits_vp
from sde_jax.data import Batch
from sde_jax.likelihood import Likelihood, MultistepLikelihood, even_times
from sde_jax.nets import NCSNppSpec, attention
from sde_jax.sampling import ExponentialAdams, LogSNRGrid, LowPrecision
from sde_jax.training.compiled import Updates
from sde_jax.training.devices import batch_sharding, data_mesh, replicated

SHAPE, BATCH = (8, 8, 1), 16
NETWORK = NCSNppSpec(channels=8, multipliers=(1, 2), blocks_per_level=1, attention_resolutions=(4,))
SLOW = pytest.mark.slow
CUDA = {"lowering_platforms": ("cuda",)}


def experiment(compute_dtype="float32"):
    return replace(digits_vp(), network=NETWORK, compute_dtype=compute_dtype)


def shapes_of(function, *args):
    return jax.eval_shape(function, *args)


def example_keys():
    return shapes_of(lambda: jax.random.split(jax.random.key(0), BATCH))


def update(compute_dtype):
    """The update of `train`, traced for eight devices, and the number of parameters."""
    learner, mesh = experiment(compute_dtype).learner(SHAPE), data_mesh()
    everywhere, rows = replicated(mesh), batch_sharding(mesh)

    def placed(x, sharding):
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

    state = shapes_of(learner.init, jax.random.key(0))
    state = jax.tree.map(lambda x: placed(x, everywhere), state)
    images = jax.ShapeDtypeStruct((BATCH, *SHAPE), jnp.float32, sharding=rows)
    stop = jax.ShapeDtypeStruct((mesh.size,), bool, sharding=rows)
    updates = Updates(learner, mesh, jax.random.key(0), state, steps_per_call=1)
    traced = updates._call.trace(state, updates._key, stop, (Batch(images, None),))
    return traced, len(jax.tree.leaves(state.params))


def score_of(params):
    return experiment().score(params)


def sampling(dtype="float32"):
    sampler, sde = ExponentialAdams(grid=LogSNRGrid(steps=4)), experiment().sde
    sampler = LowPrecision(sampler=sampler, dtype=dtype)
    params = shapes_of(lambda: experiment().model().init(jax.random.key(0), SHAPE))
    draw = jax.jit(lambda params, keys: sampler(keys, score_of(params), sde, SHAPE).x)
    return draw.trace(params, example_keys()).lower(**CUDA).as_text()


def likelihood(measure):
    sde = experiment().sde
    params = shapes_of(lambda: experiment().model().init(jax.random.key(0), SHAPE))
    x = jax.ShapeDtypeStruct((BATCH, *SHAPE), jnp.float32)
    call = jax.jit(lambda params, keys, x: measure(keys, score_of(params), sde, x).nats)
    return call.trace(params, example_keys(), x).lower(**CUDA).as_text()


def around_convolutions(program):
    """The names of the operations that make the operands of convolutions and use their results."""
    names = []
    for function in program.split("func.func")[1:]:
        maker, users = {}, {}
        lines = re.findall(r"^ *(%\w+)(?::\d+)? = \"?([\w.]+)\"?(.*)$", function, re.MULTILINE)
        for result, operation, rest in lines:
            maker[result] = operation
            for operand in re.findall(r"%\w+", rest):
                users.setdefault(operand, []).append(operation)
        for result, operation, rest in lines:
            if operation == "stablehlo.convolution":
                operands = re.findall(r"%\w+", rest.split(")")[0])
                names += [maker.get(operand, "an argument") for operand in operands]
                names += users.get(result, [])
    return names


def types_of_products(program):
    """The types of the operands of convolutions and matrix products.

    Those of batches of matrices are left out: attention's logits are float32 for the softmax, and
    so are the products in their gradient.
    """
    products = re.findall(r"stablehlo\.(?:convolution|dot_general).*: \(.*?\) ->", program)
    return {
        kind
        for product in products
        if "batching_dims" not in product
        for kind in re.findall(r"[<x]([a-z]+\d+)>", product)
    }


@pytest.mark.parametrize("compute_dtype", [pytest.param("float32", marks=SLOW), "bfloat16"])
def test_training(compute_dtype):
    program = update(compute_dtype)[0].lower(**CUDA).as_text()
    assert program.count("stablehlo.convolution") > 20
    assert "stablehlo.transpose" not in around_convolutions(program)
    assert types_of_products(program) == {{"float32": "f32", "bfloat16": "bf16"}[compute_dtype]}
    main = program.split("func.func public @main(")[1].split(") ->")[0]
    # All arguments are donated but the key, the word to stop, and the images.
    donated = main.count("tf.aliasing_output") + main.count("jax.buffer_donor")
    assert donated == len(re.findall(r"%arg\d+: ", main)) - 3 > 500
    assert "callback" not in program


MEASURED = {
    "adaptive likelihood": Likelihood(),
    "likelihood in steps": MultistepLikelihood(times=even_times(experiment().sde, 1e-3, 4)),
}


@pytest.mark.parametrize("name", ["sampling", *(pytest.param(n, marks=SLOW) for n in MEASURED)])
def test_sampling_and_likelihood(name):
    program = likelihood(MEASURED[name]) if name in MEASURED else sampling()
    assert program.count("stablehlo.convolution") > 10
    assert "stablehlo.transpose" not in around_convolutions(program)
    assert types_of_products(program) == {"f32"}
    assert "callback" not in program


def test_sampling_in_low_precision(monkeypatch):
    monkeypatch.setattr(attention, "fuses", lambda *size, dtype: dtype == jnp.bfloat16)
    monkeypatch.setattr(fused_attention_stablehlo, "check_cudnn_version", lambda: 91000)
    program = sampling("bfloat16")
    assert "stablehlo.transpose" not in around_convolutions(program)
    of_solver = [line for line in program.splitlines() if "HIGHEST" in line]
    assert len(of_solver) == 2 and types_of_products("\n".join(of_solver)) == {"f32"}
    of_network = [line for line in program.splitlines() if "HIGHEST" not in line]
    assert types_of_products("\n".join(of_network)) == {"bf16"}
    assert program.count("__cudnn$fmhaSoftmax") >= 3
    assert "batching_dims" not in program
    assert "callback" not in program


def test_a_transpose_beside_a_convolution_is_found():
    def convolve(x, kernel):
        return jax.lax.conv(x.transpose(0, 3, 1, 2), kernel, (1, 1), "SAME")

    x, kernel = jnp.zeros((1, 4, 4, 2)), jnp.zeros((3, 2, 3, 3))
    program = jax.jit(convolve).trace(x, kernel).lower(**CUDA).as_text()
    assert around_convolutions(program)[:2] == ["stablehlo.transpose", "an argument"]
    assert types_of_products(program) == {"f32"}


@pytest.mark.slow("test_training")
def test_devices_exchange_gradients_in_one_message():
    traced, parameters = update("float32")
    compiled = traced.lower().compile().as_text()
    exchanges = "all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter"
    found = re.findall(rf"= (.*?) ({exchanges})(?:-start)?\(", compiled)
    # Devices also agree on the key of the batch, and on whether to stop.
    (message,) = [(what, how) for what, how in found if "f32" in what]
    assert message[1] == "all-reduce"
    assert message[0].count("f32[") >= parameters
