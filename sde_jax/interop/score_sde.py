"""Reads checkpoints of score_sde (JAX) and score_sde_pytorch (Song et al. 2021) and writes them.

Usage::

    score = load_checkpoint("checkpoint_8.pth", published("vp/cifar10_ddpmpp_continuous"))
    score = load_checkpoint("checkpoint_26", published("ve/cifar10_ncsnpp_continuous"))

A `PublishedModel` describes other models. PyTorch is not needed, and nothing in a file is executed.
"""

import dataclasses
from os import PathLike
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from sde_jax.arrays import PyTree
from sde_jax.interop.checkpoint import (
    FlaxCheckpoint,
    PublishedState,
    TorchCheckpoint,
    read_flax_file,
)
from sde_jax.interop.errors import CheckpointFileError
from sde_jax.interop.gathering import Slot, gather
from sde_jax.interop.layout import layout_of
from sde_jax.interop.modules import parameter_shapes
from sde_jax.interop.published_model import PublishedModel
from sde_jax.interop.safetensors_file import read_safetensors, write_safetensors
from sde_jax.interop.torch_content import torch_content
from sde_jax.interop.torch_file import read_torch_file, write_torch_file
from sde_jax.reporting import report
from sde_jax.score import NetworkScore


def load_checkpoint(
    path: str | PathLike[str], model: PublishedModel, weights: Literal["ema", "raw"] = "ema"
) -> NetworkScore:
    """Loads the score of a published checkpoint of PyTorch or Flax.

    A file of PyTorch may lack all but the parameters, or be their dict alone, under names with any
    prefix.

    Args:
      path: the file.
      model: the model of the checkpoint.
      weights: "ema" for the running average of the parameters, "raw" for the parameters. Without
        an average in the file, the parameters serve, and a line on stderr says so.

    Raises:
      CheckpointFileError: if the file cannot be read or does not fit the model; it lists all
        mismatches.
      OSError: if the file does not exist.
      ValueError: for other ``weights``.
    """
    if weights not in ("ema", "raw"):
        raise ValueError(f"`weights` must be 'ema' or 'raw': got {weights!r}")
    checkpoint = _open(path, model)
    params = checkpoint.ema_params() if weights == "ema" else checkpoint.params
    _require_fit(path, checkpoint.problems)
    if weights == "ema":
        _report_absent(path, checkpoint, {"ema": "its parameters are used without averaging"})
    return NetworkScore(jax.tree.map(jnp.asarray, params), model.score_model)


def read_checkpoint(path: str | PathLike[str], model: PublishedModel) -> PublishedState:
    """Returns the state for resuming a published run of PyTorch or Flax.

    Of what a file of PyTorch lacks, a line on stderr says what takes its place.

    Raises:
      CheckpointFileError: as `load_checkpoint`.
      OSError: if the file does not exist.
    """
    checkpoint = _open(path, model)
    state = PublishedState(
        checkpoint.step, checkpoint.params, checkpoint.ema_params(), checkpoint.moments()
    )
    _require_fit(path, checkpoint.problems)
    _report_absent(path, checkpoint, AFRESH)
    return state


def save_checkpoint(
    path: str | PathLike[str], model: PublishedModel, state: PublishedState
) -> None:
    """Writes a checkpoint of score_sde_pytorch: the inverse of `read_checkpoint`.

    The unused parameters of PyTorch, those of the time in unconditional networks, are zero.

    Raises:
      KeyError: if a parameter is missing.
    """
    write_torch_file(path, torch_content(model, layout_of(model), state))


def save_weights(path: str | PathLike[str], model: PublishedModel, params: PyTree) -> None:
    """Writes parameters as safetensors with the model in the metadata."""
    write_safetensors(path, params, dataclasses.asdict(model))


def load_weights(path: str | PathLike[str]) -> NetworkScore:
    """Loads the score whose parameters `save_weights` wrote.

    Raises:
      CheckpointFileError: if the file cannot be read, or does not fit the model in its metadata.
      OSError: if the file does not exist.
    """
    arrays, configuration = read_safetensors(path)
    try:
        model = PublishedModel.from_fields(configuration)
    except ValueError as error:
        raise CheckpointFileError(path, f"its `configuration` is no model: {error}") from error
    problems: list[str] = []
    shapes = flatten_dict(parameter_shapes(model.network_spec.build(), model.image_shape))
    slots = {".".join(path): Slot(path, (shape,)) for path, shape in shapes.items()}
    params = gather("it", flatten_dict(arrays, sep="."), slots, problems)
    _require_fit(path, problems)
    return NetworkScore(jax.tree.map(jnp.asarray, params), model.score_model)


def _open(path: str | PathLike[str], model: PublishedModel) -> TorchCheckpoint | FlaxCheckpoint:
    """Opens the checkpoint as the kind that its name or first bytes indicate."""
    with open(path, "rb") as file:
        start = file.read(2)
    layout = layout_of(model)
    # In msgpack the first byte of a pickle would be an empty dict.
    if Path(path).suffix in (".pth", ".pt") or start == b"PK" or start[:1] == b"\x80":
        content = read_torch_file(path)
        if not isinstance(content, dict):
            raise CheckpointFileError(path, "it holds no dict, as a checkpoint does")
        return TorchCheckpoint(content, model, layout)
    return FlaxCheckpoint(read_flax_file(path), layout)


AFRESH = {
    "ema": "the average starts from the parameters",
    "optimizer": "its state starts afresh",
    "step": "updates are counted from 0",
}
"""What takes the place of a part that a file lacks."""


def _report_absent(
    path: str | PathLike[str], checkpoint: FlaxCheckpoint | TorchCheckpoint, parts: dict[str, str]
) -> None:
    """Reports in a line what takes the place of the parts that a file of PyTorch lacks."""
    absent = [part for part in parts if part not in checkpoint.content]
    if absent and isinstance(checkpoint, TorchCheckpoint):
        lacking = ", ".join(f"no `{part}`: {parts[part]}" for part in absent)
        report(f"{path} has {lacking}")


def _require_fit(path: str | PathLike[str], problems: list[str]) -> None:
    if problems:
        raise CheckpointFileError(path, ["it does not fit the model", *dict.fromkeys(problems)])
