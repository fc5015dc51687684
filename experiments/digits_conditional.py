"""The lower half of handwritten digits (8x8), given the upper one, VP.

sde-jax train digits_conditional

Many lower halves go with an upper one. A network that regresses on it learns their mean, a blur
that is nobody's handwriting; a score model that is told the upper half draws one of them, another
each time: look at `pictures/answers.png` of the run. `--task.lost detail` asks for digits of which
means over 4x4 pixels are left, `--data.coloured --task.lost colour` for the colours of grey ones.
Two CPU cores, three minutes; the regression is off by .154, a draw by .191.
"""

import dataclasses

from experiments.digits_vp import experiment as digits_vp
from experiments.digits_vp import network
from sde_jax.recipes.conditional import Conditional
from sde_jax.recipes.evaluation_settings import MEASURABLE
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.sde import VP
from sde_jax.training.optimizer import Adam
from sde_jax.training.settings import Training

experiment = Conditional(
    data=digits_vp.data,
    sde=VP(),
    network=network,
    optimizer=Adam(learning_rate=3e-3, warmup_steps=100, decay="cosine"),
    ema_decay=0.99,
    training=Training(steps=800, batch_size=128, eval_every=400),
    sampling=SamplerSettings(sampler="unipc", steps=20),
    evaluation=dataclasses.replace(digits_vp.evaluation, metrics=MEASURABLE),
)
