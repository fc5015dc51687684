"""Rules of fields: numbers are finite and bounded; a failure names field, rule and value."""

import dataclasses
from typing import Annotated, Any, Literal

import pytest

from sde_jax.baselines import AutoencoderSpec, CouplingFlowSpec, DCGANSpec
from sde_jax.data import Storage
from sde_jax.interop.published_model import PublishedModel
from sde_jax.likelihood import Hutchinson
from sde_jax.nets import DDPMSpec, MLPSpec, NCSNppSpec, PooledUNetSpec
from sde_jax.recipes import (
    BoundSettings,
    EvaluationSettings,
    LikelihoodSettings,
    SamplerSettings,
    Sliced,
)
from sde_jax.sampling import Langevin, LogSNRGrid, UniformGrid
from sde_jax.score import LogScaledTime, ScaledTime
from sde_jax.sde import VE, VP, CosineVP, DDPMChain, SubVP
from sde_jax.training import Adam, Training
from sde_jax.validation import Only, Spec, at_least, at_most, fits, shown, without_effect

HUGE = 10**15


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (Training, {"steps": HUGE}),
        (Training, {"batch_size": HUGE}),
        (Training, {"accumulate": 10**6}),
        (Training, {"steps_per_call": 10**6}),
        (Training, {"checkpoint_every": HUGE}),
        (Adam, {"warmup_steps": HUGE}),
        (SamplerSettings, {"steps": HUGE}),
        (LikelihoodSettings, {"probes": HUGE}),
        (Hutchinson, {"probes": HUGE}),
        (BoundSettings, {"importance_samples": HUGE}),
        (EvaluationSettings, {"count": HUGE}),
        (Sliced, {"slices": HUGE}),
        (NCSNppSpec, {"channels": 10**9}),
        (NCSNppSpec, {"blocks_per_level": 10**6}),
        (NCSNppSpec, {"multipliers": (1, 10**9)}),
        (NCSNppSpec, {"multipliers": (1,) * 100}),
        (NCSNppSpec, {"resampling_filter": (10**9,)}),
        (NCSNppSpec, {"classes": 10**9}),
        (NCSNppSpec, {"num_scales": 10**12}),
        (DDPMSpec, {"blocks_per_level": 10**6}),
        (MLPSpec, {"depth": 10**6}),
        (PooledUNetSpec, {"widths": (8 * 10**9,)}),
        (AutoencoderSpec, {"latent": 10**9}),
        (CouplingFlowSpec, {"couplings": 10**6}),
        (DCGANSpec, {"channels": 4 * 10**9}),
        (DDPMChain, {"levels": 10**12}),
        (UniformGrid, {"steps": HUGE}),
        (LogSNRGrid, {"steps": HUGE}),
        (Langevin, {"steps": 10**6}),
        (Storage, {"workers": 10**6}),
        (PublishedModel, {"nf": 10**9}),
        (PublishedModel, {"num_res_blocks": 10**9}),
        (PublishedModel, {"num_scales": 10**12}),
        (PublishedModel, {"n_iters": HUGE}),
        (PublishedModel, {"seed": HUGE}),
    ],
    ids=lambda part: part.__name__ if isinstance(part, type) else next(iter(part)),
)
def test_numbers_beyond_reason_are_refused(kind, fields):
    ((name, _),) = fields.items()
    with pytest.raises(ValueError, match=f"^`{name}` must be (at most|below) "):
        kind(**fields)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e308, 10**400])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (NCSNppSpec, "init_scale"),
        (NCSNppSpec, "fourier_scale"),
        (VP, "beta_max"),
        (SubVP, "beta_max"),
        (VE, "sigma_max"),
        (CosineVP, "log_snr_data"),
        (Adam, "learning_rate"),
        (Adam, "clip_eps"),
        (ScaledTime, "scale"),
        (LogScaledTime, "scale"),
        (SamplerSettings, "snr"),
        (LikelihoodSettings, "tolerance"),
    ],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_numbers_are_finite_in_32_bits(kind, name, value):
    with pytest.raises(ValueError, match=rf"`{name}`"):
        kind(**{name: value})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner(Spec):
    """A spec with a setting of one of two kinds."""

    kind: Annotated[Literal["a", "b"], Only("`size` is set", lambda spec: spec.size > 0)] = "a"
    size: Annotated[int, at_least(0), at_most(10)] = 1
    width: Annotated[float, Only("`kind` is b", lambda spec: spec.kind == "b")] = float("inf")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer(Spec):
    """A spec with another one in it."""

    inner: Inner = Inner()


def test_an_infinite_default_stays():
    assert Inner().width == float("inf")
    with pytest.raises(ValueError, match="`width` must be finite in 32 bits: got width=nan"):
        Inner(width=float("nan"))


def test_choices_hold_beside_conditions():
    with pytest.raises(ValueError, match="`kind` must be one of a, b: got kind='c'"):
        Inner(kind="c")


def test_changed_settings_without_effect_are_named():
    changed = Outer(inner=Inner(width=2.0))
    said = "`inner.width` has no effect unless `kind` is b: got width=2.0."
    assert list(without_effect(changed, Outer())) == [said]
    assert list(without_effect(changed, None)) == [said]
    assert list(without_effect(changed, changed)) == []
    assert list(without_effect(Outer(inner=Inner(width=2.0, kind="b")), Outer())) == []


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (True, int, False),
        (True, float, False),
        (True, int | None, False),
        (True, Literal[0, 1], False),
        (1, Literal[0, 1], True),
        ((1, True), tuple[int, ...], False),
        (True, bool, True),
        (5, float, True),
        (8.5, int, False),
        ({"a": True}, dict, True),
        ([True], Any, True),
        ("1", tuple[int, ...], False),
    ],
)
def test_true_and_false_are_no_numbers(value, hint, expected):
    assert fits(value, hint) is expected


def test_a_long_value_is_shown_in_part():
    assert shown(5) == "5"
    assert len(shown("x" * 10**6)) < 200
    assert shown(10**5000) == "a number of thousands of digits"
