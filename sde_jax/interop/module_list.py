"""The modules of a published network, in the order of their calls."""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

from sde_jax.interop.published_model import PublishedModel

__all__ = ["PublishedModule", "module_list", "without_ignored"]


class PublishedModule(NamedTuple):
    """A module at the top of a published network."""

    kind: str
    """Its class in PyTorch."""
    listed: bool = True
    """True if it is in ``all_modules``, whose index names it in PyTorch files."""
    parameters: bool = True
    """True if it has parameters; our network has no modules without."""


def module_list(model: PublishedModel) -> Iterator[PublishedModule]:
    """Yields the modules in order.

    PyTorch files number the listed modules; Flax files number all modules of a class.
    """
    model = without_ignored(model)
    block, attention = (PublishedModule(kind) for kind in block_kinds(model))
    if model.embedding_type == "fourier":
        yield PublishedModule("GaussianFourierProjection")
    if model.conditional:
        yield from (PublishedModule("Linear"),) * 2
    yield PublishedModule("Conv2d")
    lowest = len(model.ch_mult) - 1
    attends = [model.image_size // 2**i in model.attn_resolutions for i in range(lowest + 1)]
    for level in range(lowest + 1):
        yield from (block, attention)[: 1 + attends[level]] * model.num_res_blocks
        if level < lowest:
            yield resampling(model, block, "Downsample")
            yield from input_pyramid(model)
    yield from (block, attention, block)
    for level in range(lowest, -1, -1):
        yield from (block,) * (model.num_res_blocks + 1) + (attention,) * attends[level]
        yield from output_pyramid(model, first=level == lowest)
        if level > 0:
            yield resampling(model, block, "Upsample")
    if model.progressive != "output_skip":
        yield from (PublishedModule("GroupNorm"), PublishedModule("Conv2d"))


def without_ignored(model: PublishedModel) -> PublishedModel:
    """Returns the model with the settings that the network ddpm ignores set to those it has."""
    if model.name == "ncsnpp":
        return model
    return dataclasses.replace(
        model,
        embedding_type="positional",
        fir=False,
        resblock_type="ddpm",
        progressive="none",
        progressive_input="none",
    )


def block_kinds(model: PublishedModel) -> tuple[str, str]:
    """Returns the classes of the residual and the attention blocks."""
    if model.name == "ddpm":
        return "ResnetBlockDDPM", "AttnBlock"
    if model.resblock_type == "biggan":
        return "ResnetBlockBigGANpp", "AttnBlockpp"
    return "ResnetBlockDDPMpp", "AttnBlockpp"


def resampling(model: PublishedModel, block: PublishedModule, kind: str) -> PublishedModule:
    """Returns the module that halves or doubles the image between two levels."""
    if model.resblock_type == "biggan":
        return block
    return PublishedModule(kind, parameters=model.resamp_with_conv)


def input_pyramid(model: PublishedModel) -> tuple[PublishedModule, ...]:
    """Returns the modules that add the halved input."""
    match model.progressive_input:
        case "input_skip":
            halved = PublishedModule("Downsample", listed=False, parameters=False)
            return (halved, PublishedModule("Combine"))
        case "residual":
            return (PublishedModule("Downsample"),)
    return ()


def output_pyramid(model: PublishedModel, first: bool) -> tuple[PublishedModule, ...]:
    """Returns the modules that add to the output at one level; the first is the lowest."""
    projection = (PublishedModule("GroupNorm"), PublishedModule("Conv2d"))
    doubled = PublishedModule("Upsample", listed=False, parameters=False)
    match model.progressive:
        case "output_skip":
            return projection if first else (doubled, *projection)
        case "residual":
            return projection if first else (PublishedModule("Upsample"),)
    return ()
