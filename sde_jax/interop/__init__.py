"""Published checkpoints in, ours out, without the libraries that wrote them."""

from sde_jax.interop.checkpoint import AdamMoments, PublishedState
from sde_jax.interop.configurations import published, published_names
from sde_jax.interop.diffusers import load_diffusers
from sde_jax.interop.errors import CheckpointFileError
from sde_jax.interop.inception import (
    PUBLISHED_SHA256,
    PUBLISHED_URL,
    cached_inception,
    load_inception,
    read_published_inception,
    save_inception,
    weights_sha256,
)
from sde_jax.interop.published_model import PublishedModel
from sde_jax.interop.published_sampler import published_sampler
from sde_jax.interop.safetensors_file import read_safetensors, write_safetensors
from sde_jax.interop.score_sde import (
    load_checkpoint,
    load_weights,
    read_checkpoint,
    save_checkpoint,
    save_weights,
)
from sde_jax.interop.statistics_file import (
    KEPT,
    Identity,
    Reference,
    StatisticsFileError,
    read_reference,
    write_reference,
)
from sde_jax.interop.torch_file import read_torch_file, write_torch_file

__all__ = [
    "KEPT",
    "PUBLISHED_SHA256",
    "PUBLISHED_URL",
    "AdamMoments",
    "CheckpointFileError",
    "Identity",
    "PublishedModel",
    "PublishedState",
    "Reference",
    "StatisticsFileError",
    "cached_inception",
    "load_checkpoint",
    "load_diffusers",
    "load_inception",
    "load_weights",
    "published",
    "published_names",
    "published_sampler",
    "read_checkpoint",
    "read_published_inception",
    "read_reference",
    "read_safetensors",
    "read_torch_file",
    "save_checkpoint",
    "save_inception",
    "save_weights",
    "weights_sha256",
    "write_reference",
    "write_safetensors",
    "write_torch_file",
]
