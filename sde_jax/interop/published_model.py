"""A model of score_sde by the names of its configuration files."""

import dataclasses
import difflib
import json
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from sde_jax.data.scaling import ImageScaling
from sde_jax.interop.typed_fields import typed
from sde_jax.json_files import parse_json
from sde_jax.nets.ddpm import DDPMSpec
from sde_jax.nets.ncsnpp import NCSNppSpec
from sde_jax.score import (
    DescendingIndex,
    LogNoiseLevel,
    LogScaledTime,
    NoiseLevel,
    NoisePrediction,
    ScaledTime,
    ScoreModel,
    ScorePrediction,
    TimeCondition,
)
from sde_jax.sde import VE, VP, DDPMChain, LinearSDE, SubVP
from sde_jax.validation import (
    POSITIVE,
    BelowOne,
    Multipliers,
    NotNegative,
    NotNegativeInt,
    Positive,
    PositiveInt,
    Sizes,
    Spec,
    at_most,
    require,
    shown,
)

PUBLISHED_NAMES = {
    "channels": "nf",
    "multipliers": "ch_mult",
    "blocks_per_level": "num_res_blocks",
    "attention_resolutions": "attn_resolutions",
    "activation": "nonlinearity",
    "resample_with_convolution": "resamp_with_conv",
    "embedding": "embedding_type",
    "block": "resblock_type",
    "progressive_output": "progressive",
    "combine": "progressive_combine",
}
"""Names in the reference of fields of `NCSNppSpec` and `DDPMSpec`, where they differ."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedModel(Spec):
    """A model of Song et al. 2021: network, SDE, data, training and sampling, as published.

    Fields are those of the `data`, `model`, `training`, `sampling` and `optim` sections of a
    configuration, and its `seed`, without those that have no effect. Lists become tuples. The
    defaults are those of vp/cifar10_ddpmpp_continuous.

    Raises:
      ValueError: if a field is of the wrong type or out of range, or two contradict each other.
    """

    dataset: str = "CIFAR10"
    """CIFAR10, CELEBA, LSUN, CelebAHQ or FFHQ, or any name for other data."""
    category: str | None = None
    """The part of LSUN: bedroom or church_outdoor."""
    image_size: Annotated[int, POSITIVE, at_most(2**16)] = 32
    """Height and width."""
    num_channels: Annotated[int, POSITIVE, at_most(2**10)] = 3
    """1 for grey images, 3 for colour."""
    centered: bool = True
    """True if the model's coordinates are [-1, 1] instead of [0, 1]."""
    random_flip: bool = True
    """True if training images are mirrored at random."""
    uniform_dequantization: bool = False
    """True if training images are dequantized by uniform noise."""

    name: Literal["ncsnpp", "ddpm"] = "ncsnpp"
    """The network. ddpm has 32 groups and positional embeddings. It ignores the fields after
    `dropout` up to `fourier_scale`."""
    nf: Annotated[int, POSITIVE, at_most(2**16)] = 128
    """Width of the first level."""
    ch_mult: Multipliers = (1, 2, 2, 2)
    """Width of each level in units of `nf`."""
    num_res_blocks: Annotated[int, POSITIVE, at_most(64)] = 4
    """Residual blocks of each level."""
    attn_resolutions: Sizes = (16,)
    """Image sizes with attention."""
    nonlinearity: Literal["swish", "elu", "relu", "lrelu"] = "swish"
    normalization: Literal["GroupNorm"] = "GroupNorm"
    resamp_with_conv: bool = True
    """True if convolutions halve and double images, if no residual block does."""
    conditional: bool = True
    """True if the network takes the time as input."""
    scale_by_sigma: bool = False
    """True if the output is divided by the noise level."""
    dropout: BelowOne = 0.1
    """Probability of dropping an activation in training."""
    fir: bool = False
    """True if images are filtered when they are halved and doubled."""
    fir_kernel: Sizes = (1, 3, 3, 1)
    skip_rescale: bool = True
    """True if sums of a block and its shortcut are divided by sqrt(2)."""
    resblock_type: Literal["biggan", "ddpm"] = "biggan"
    """The residual block; that of biggan also halves and doubles images."""
    progressive: Literal["none", "output_skip", "residual"] = "none"
    """The pyramid of outputs."""
    progressive_input: Literal["none", "input_skip", "residual"] = "none"
    """The pyramid of inputs."""
    progressive_combine: Literal["sum", "cat"] = "sum"
    """The combination of the pyramid of inputs by input_skip."""
    init_scale: NotNegative = 0.0
    """Scale of the last layers at initialization."""
    embedding_type: Literal["fourier", "positional"] = "positional"
    """The embedding of the time; Fourier features need continuous training."""
    fourier_scale: Positive = 16.0
    """Deviation of the frequencies of Fourier features."""
    num_scales: Annotated[int, POSITIVE, at_most(10**6)] = 1000
    """Number N of noise levels of the chain, or of steps in sampling."""
    sigma_min: Positive = 0.01
    """Lowest noise level of VE."""
    sigma_max: float = 50.0
    """Highest noise level of VE."""
    beta_min: Positive = 0.1
    """Noise rate of VP and sub-VP at t = 0."""
    beta_max: float = 20.0
    """Noise rate of VP and sub-VP at t = 1."""
    ema_rate: BelowOne = 0.9999
    """Decay of the running average of the parameters."""

    sde: Literal["vpsde", "subvpsde", "vesde"] = "vpsde"
    continuous: bool = True
    """True if training uses all times, not only those of a chain of N levels."""
    reduce_mean: bool = True
    """True if the loss is a mean over pixels instead of half their sum."""
    likelihood_weighting: bool = False
    """True if the loss is weighted by g(t)^2."""
    batch_size: PositiveInt = 128
    """Examples in each update."""
    n_iters: PositiveInt = 1_300_001
    """Total number of updates plus one."""
    log_freq: PositiveInt = 50
    """Updates between lines in the log."""
    eval_freq: PositiveInt = 100
    """Updates between evaluations."""
    snapshot_freq: PositiveInt = 50_000
    """Updates between permanent checkpoints; the n-th is the file checkpoint_n."""
    snapshot_freq_for_preemption: PositiveInt = 10_000
    """Updates between checkpoints for resuming."""

    method: Literal["pc", "ode"] = "pc"
    """The sampler: predictor and corrector, or the probability flow."""
    predictor: Literal["euler_maruyama", "reverse_diffusion", "ancestral_sampling", "none"] = (
        "euler_maruyama"
    )
    corrector: Literal["langevin", "ald", "none"] = "none"
    n_steps_each: Annotated[int, POSITIVE, at_most(1000)] = 1
    """Steps of the corrector at each time."""
    snr: Positive = 0.16
    """Signal-to-noise ratio of the corrector's steps."""
    noise_removal: bool = True
    """True if the last step adds no noise."""
    probability_flow: bool = False
    """True if the predictor follows the probability flow."""

    optimizer: Literal["Adam"] = "Adam"
    lr: Positive = 2e-4
    """Learning rate after the warm-up."""
    beta1: BelowOne = 0.9
    """Decay of the mean of the gradients."""
    eps: Positive = 1e-8
    """Added to the root of the mean of squares."""
    weight_decay: NotNegative = 0.0
    """Multiple of the parameters that is added to their gradients."""
    warmup: NotNegativeInt = 5000
    """Updates over which the learning rate rises."""
    grad_clip: float = 1.0
    """Largest norm of the gradients; negative: no limit."""
    seed: NotNegativeInt = 42
    """Seed of all random numbers."""

    def __post_init__(self) -> None:
        for field, hint in typing.get_type_hints(type(self)).items():
            object.__setattr__(self, field, typed(field, getattr(self, field), hint))
        super().__post_init__()
        factor = 2 ** (len(self.ch_mult) - 1)
        rule = f"be divisible by {factor}: `ch_mult` has {len(self.ch_mult)} levels"
        require(self, "image_size", self.image_size % factor == 0, rule)
        self._check_continuous()
        _ = self.score_model

    def _check_continuous(self) -> None:
        """Raises ValueError for discrete training where only continuous training is defined."""
        reasons = {
            "`sde` is subvpsde, of which there is no chain": self.sde == "subvpsde",
            "`embedding_type` is fourier": self._fourier,
            "`likelihood_weighting` is on": self.likelihood_weighting,
        }
        for reason, holds in reasons.items():
            require(self, "continuous", self.continuous or not holds, f"be true if {reason}")

    @property
    def _fourier(self) -> bool:
        return self.name == "ncsnpp" and self.embedding_type == "fourier"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        return (self.image_size, self.image_size, self.num_channels)

    @property
    def scaling(self) -> ImageScaling:
        """The map from grey levels to the model's coordinates."""
        return ImageScaling(centered=self.centered)

    @property
    def process(self) -> LinearSDE:
        """The SDE that `sde` names."""
        if self.sde == "vesde":
            return VE(sigma_min=self.sigma_min, sigma_max=self.sigma_max)
        kind = VP if self.sde == "vpsde" else SubVP
        return kind(beta_min=self.beta_min, beta_max=self.beta_max)

    @property
    def network_spec(self) -> DDPMSpec | NCSNppSpec:
        """The network."""
        kind = DDPMSpec if self.name == "ddpm" else NCSNppSpec
        own: dict[str, Any] = dataclasses.asdict(self)
        own["resampling_filter"] = self.fir_kernel if self.fir else None
        names = {
            field.name: PUBLISHED_NAMES.get(field.name, field.name)
            for field in dataclasses.fields(kind)
        }
        return kind(**{ours: own[name] for ours, name in names.items() if name in own})

    @property
    def score_model(self) -> ScoreModel:
        """The interpretation of the network as a score (Song et al. 2021, app. C and G)."""
        predicts_score = self.sde == "vesde"
        discrete_vp = self.sde == "vpsde" and not self.continuous
        return ScoreModel(
            network=self.network_spec.build(),
            sde=self.process,
            parameterization=ScorePrediction() if predicts_score else NoisePrediction(),
            time_condition=self._time_condition,
            noise_levels=DDPMChain(levels=self.num_scales) if discrete_vp else None,
        )

    @property
    def _time_condition(self) -> TimeCondition:
        if self.sde == "vesde":
            if not self.continuous:
                return DescendingIndex(levels=self.num_scales)
            return LogNoiseLevel() if self._fourier else NoiseLevel()
        if not self.continuous:
            return ScaledTime(scale=self.num_scales - 1)
        return LogScaledTime(scale=999.0) if self._fourier else ScaledTime(scale=999.0)

    def to_json(self) -> str:
        """Returns all fields as a JSON object."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads a model that `to_json` wrote: see `from_fields`."""
        return cls.from_fields(parse_json(text))

    @classmethod
    def from_fields(cls, fields: Any) -> Self:
        """Builds a model from the value that `to_json` writes; missing fields have their defaults.

        Raises:
          ValueError: if it is no object, or has an unknown field or an invalid value.
        """
        if not isinstance(fields, Mapping):
            raise ValueError(f"a model must be a JSON object of its fields: got {shown(fields)}")
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(fields) - known):
            near = difflib.get_close_matches(unknown[0], known, n=3)
            hint = f": similar are {', '.join(near)}" if near else ""
            raise ValueError(f"a model has no field {', '.join(unknown)}{hint}")
        return cls(**fields)
