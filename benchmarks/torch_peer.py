"""PyTorch as a peer: an evaluation and a training step of DDPM++."""

import copy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.ddpmpp import Inputs, Size
from benchmarks.timing import fastest
from benchmarks.torch_ddpmpp import TorchDDPMpp, weights_of
from sde_jax.sde import VP


class Variant(NamedTuple):
    """A way to run the network."""

    name: str
    device: str
    memory: torch.memory_format = torch.contiguous_format
    autocast: bool = False
    compiled: bool = False

    def network(self, size: Size, params: Any, *, training: bool) -> TorchDDPMpp:
        """Builds the network with our parameters."""
        network = TorchDDPMpp(size.spec, size.image, size.shape[-1])
        network.load_state_dict(weights_of(params, network))
        return network.to(self.device, memory_format=self.memory).train(training)

    def images(self, x: Any) -> Tensor:
        """Converts our images to PyTorch's order of axes."""
        tensor = torch.from_numpy(np.array(x)).permute(0, 3, 1, 2)
        return tensor.to(self.device).contiguous(memory_format=self.memory)

    def call(self, network: TorchDDPMpp) -> Callable[[Tensor, Tensor], Tensor]:
        """Returns the network in this variant's precision, compiled if the variant asks for it."""
        runner = torch.compile(network) if self.compiled else network

        def call(x: Tensor, time: Tensor) -> Tensor:
            with torch.autocast(self.device, torch.bfloat16, enabled=self.autocast):
                return runner(x, time).float()

        return call

    def wait(self) -> None:
        """Waits until the device has finished."""
        if self.device == "cuda":
            torch.cuda.synchronize()


def variants() -> Iterator[Variant]:
    """Yields compiled bfloat16, the fastest, on a GPU, and float32 in both layouts on a CPU."""
    if torch.cuda.is_available():
        yield Variant(
            "PyTorch, bfloat16, channels-last, compiled", "cuda", torch.channels_last, True, True
        )
    else:
        yield Variant("PyTorch, float32", "cpu")
        yield Variant("PyTorch, float32, channels-last", "cpu", torch.channels_last)


def fastest_evaluation(size: Size, inputs: Inputs) -> tuple[str, Callable[[], Tensor]]:
    """Returns the fastest variant of an evaluation, and its name."""
    return fastest({v.name: evaluation(v, size, inputs) for v in variants()})


def fastest_training_step(size: Size, params: Any, x0: Any) -> tuple[str, Callable[[], Tensor]]:
    """Returns the fastest variant of a training step, and its name."""
    return fastest({v.name: training_step(v, size, params, x0) for v in variants()})


def evaluation(variant: Variant, size: Size, inputs: Inputs) -> Callable[[], Tensor]:
    """Returns a function that evaluates once; its result has our order of axes."""
    call = variant.call(variant.network(size, inputs.params, training=False))
    x = variant.images(inputs.x)
    time = torch.from_numpy(np.array(inputs.time)).to(variant.device)

    def evaluate() -> Tensor:
        with torch.inference_mode():
            output = call(x, time).permute(0, 2, 3, 1)
        variant.wait()
        return output

    return evaluate


def loss(call: Callable[[Tensor, Tensor], Tensor], x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """Returns the mean squared error of the noise that DDPM++ predicts on VP."""
    sde = VP()
    integral = t * sde.beta_min + t**2 / 2 * (sde.beta_max - sde.beta_min)
    alpha, sigma = torch.exp(-integral / 2), torch.sqrt(-torch.expm1(-integral))
    xt = alpha[:, None, None, None] * x0 + sigma[:, None, None, None] * noise
    return F.mse_loss(call(xt, 999 * t), noise)


def gradient_difference(
    size: Size, gradient: Any, params: Any, x0: Any, t: Any, noise: Any
) -> float:
    """Returns the distance of our gradient from PyTorch's, relative to the norm of the latter.

    Both are computed in float32, without dropout, at given times and noise.
    """
    variant = next(variants())._replace(autocast=False, compiled=False)
    network = variant.network(size, params, training=False)
    times = torch.from_numpy(np.array(t)).to(variant.device)
    loss(network, variant.images(x0), times, variant.images(noise)).backward()
    ours = weights_of(gradient, network)
    pairs = [(ours[name], p.grad.cpu()) for name, p in network.named_parameters()]
    difference = sum(float(((mine - theirs) ** 2).sum()) for mine, theirs in pairs)
    return (difference / sum(float((theirs**2).sum()) for _, theirs in pairs)) ** 0.5


def gradient_difference_of(*arguments: Any) -> tuple[str, Callable[[], float]]:
    """Returns a function that compares gradients; see `gradient_difference`."""
    return "PyTorch", lambda: gradient_difference(*arguments)


def training_step(variant: Variant, size: Size, params: Any, x0: Any) -> Callable[[], Tensor]:
    """Returns a step on a fixed batch: forward, backward, clipping, Adam, running average."""
    network = variant.network(size, params, training=True)
    call, images = variant.call(network), variant.images(x0)
    parameters = list(network.parameters())
    averages = list(copy.deepcopy(network).parameters())
    optimizer = torch.optim.Adam(parameters, lr=2e-4, fused=True)

    def step() -> Tensor:
        t = 1e-5 + (1 - 1e-5) * torch.rand(len(images), device=variant.device)
        value = loss(call, images, t, torch.randn_like(images))
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(averages, parameters, 1e-3)
        variant.wait()
        return value.detach()

    return step
