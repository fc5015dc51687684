"""Reads the checkpoints of score_sde, one msgpack object written by Flax of 2020 to 2022."""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from flax import serialization
from flax.traverse_util import flatten_dict

from sde_jax.arrays import PyTree
from sde_jax.interop.checkpoint import AdamMoments, Checkpoint
from sde_jax.interop.errors import CheckpointFileError
from sde_jax.interop.layout import PublishedTensor


def read_flax_file(path: str | PathLike[str]) -> dict[str, Any]:
    """Returns the saved value: nested dicts by names, numbers, strings, unchunked arrays.

    Raises:
      CheckpointFileError: if the file has another format or is damaged.
      OSError: if there is no such file.
    """
    data = Path(path).read_bytes()
    try:
        content = serialization.msgpack_restore(data)
    # A damaged file can make msgpack and flax raise any error.
    except Exception as error:
        raise CheckpointFileError(
            path, f"it is no msgpack file of Flax, or damaged: {error}"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointFileError(path, "it is no msgpack file of Flax: it holds no dict")
    return content


class FlaxCheckpoint(Checkpoint):
    """The dict of ``step``, ``optimizer``, ``params_ema`` and unused entries.

    `optimizer` contains the parameters as `target`, and `state` with their moments.
    """

    def __init__(self, content: Mapping[str, Any], layout: Sequence[PublishedTensor]) -> None:
        used = (tensor for tensor in layout if tensor.path is not None)
        super().__init__(content, {"/".join(t.flax_path): t.flax_slot for t in used})
        self.params = self.tree("`optimizer.target`", named(self.part("optimizer", "target")))

    def ema_params(self) -> PyTree:
        """Returns the running average of the parameters."""
        return self.tree("`params_ema`", named(self.part("params_ema")))

    def moments(self) -> AdamMoments | None:
        """Returns the state of Adam."""
        updates = self.part("optimizer", "state").get("step")
        states = named(self.part("optimizer", "state", "param_states"))

        def moment(key: str) -> PyTree:
            ending = f"/{key}"
            values = {
                name.removesuffix(ending): value
                for name, value in states.items()
                if name.endswith(ending)
            }
            return self.tree(f"`optimizer` {key}", values)

        return AdamMoments(
            self.number(updates, "of updates"), moment("grad_ema"), moment("grad_sq_ema")
        )


def named(part: Mapping[Any, Any]) -> dict[str, Any]:
    """Returns the leaves of nested dicts by names like ``Conv_0/kernel``."""
    return {"/".join(map(str, path)): leaf for path, leaf in flatten_dict(part).items()}
