"""The content of a checkpoint of score_sde_pytorch, made of our training state."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict

from sde_jax.interop.checkpoint import PREFIX, PublishedState, noise_levels
from sde_jax.interop.layout import PublishedTensor
from sde_jax.interop.published_model import PublishedModel


def torch_content(
    model: PublishedModel, layout: Sequence[PublishedTensor], state: PublishedState
) -> dict[str, Any]:
    """Builds the content of a `TorchCheckpoint`; unused parameters are zero."""
    params, average = flatten_dict(state.params), flatten_dict(state.ema_params)
    states = {}
    if state.moments is not None:
        mean, mean_square = map(flatten_dict, state.moments[1:])
        states = {
            place: {
                "step": np.asarray(state.moments.updates, np.float32),
                "exp_avg": tensor.to_torch(mean),
                "exp_avg_sq": tensor.to_torch(mean_square),
            }
            for place, tensor in enumerate(layout)
            if tensor.trainable and tensor.path is not None
        }
    named = {PREFIX + tensor.torch_name: tensor.to_torch(params) for tensor in layout}
    settings = adam_settings(model, state.step)
    return {
        "optimizer": {
            "state": states,
            "param_groups": [{**settings, "params": [*range(len(layout))]}],
        },
        "model": OrderedDict({PREFIX + "sigmas": noise_levels(model), **named}),
        "ema": {
            "decay": model.ema_rate,
            "num_updates": state.step,
            "shadow_params": [tensor.to_torch(average) for tensor in layout if tensor.trainable],
        },
        "step": state.step,
    }


def adam_settings(model: PublishedModel, step: int) -> dict[str, Any]:
    """Returns the settings of PyTorch's Adam at the last of ``step`` updates."""
    warmed_up = min(max(step - 1, 0) / model.warmup, 1.0) if model.warmup else 1.0
    return {
        "lr": model.lr * warmed_up,
        "betas": (model.beta1, 0.999),
        "eps": model.eps,
        "weight_decay": model.weight_decay,
        "amsgrad": False,
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "fused": None,
        "decoupled_weight_decay": False,
    }
