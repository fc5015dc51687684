"""Published checkpoints in, ours out, without the libraries that wrote them."""

from typing import TYPE_CHECKING

from sde_jax.lazy_names import lazy_names

if TYPE_CHECKING:
    from sde_jax.interop.checkpoint import (
        AdamMoments as AdamMoments,
        PublishedState as PublishedState,
    )
    from sde_jax.interop.configurations import (
        published as published,
        published_names as published_names,
    )
    from sde_jax.interop.diffusers import load_diffusers as load_diffusers
    from sde_jax.interop.errors import CheckpointFileError as CheckpointFileError
    from sde_jax.interop.inception import (
        PUBLISHED_SHA256 as PUBLISHED_SHA256,
        PUBLISHED_URL as PUBLISHED_URL,
        cached_inception as cached_inception,
        load_inception as load_inception,
        read_published_inception as read_published_inception,
        save_inception as save_inception,
        weights_sha256 as weights_sha256,
    )
    from sde_jax.interop.published_model import PublishedModel as PublishedModel
    from sde_jax.interop.published_sampling import published_sampler as published_sampler
    from sde_jax.interop.safetensors_file import (
        read_safetensors as read_safetensors,
        write_safetensors as write_safetensors,
    )
    from sde_jax.interop.score_sde import (
        load_checkpoint as load_checkpoint,
        load_weights as load_weights,
        read_checkpoint as read_checkpoint,
        save_checkpoint as save_checkpoint,
        save_weights as save_weights,
    )
    from sde_jax.interop.statistics_file import (
        KEPT as KEPT,
        Identity as Identity,
        Reference as Reference,
        StatisticsFileError as StatisticsFileError,
        read_reference as read_reference,
        write_reference as write_reference,
    )
    from sde_jax.interop.torch_file import (
        read_torch_file as read_torch_file,
        write_torch_file as write_torch_file,
    )
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
