"""Arguments of the processes: what is refused and how, and what is only warned of."""

import re
import warnings

import jax
import pytest
from cases import SDES, each_sde

from sde_jax.sde import VE, VP, CosineVP, LinearSDE, OrnsteinUhlenbeck, SubVP

ERRORS = [
    (VP, {"beta_min": 0.0}, "`beta_min` must be positive: got beta_min=0.0, beta_max=20.0."),
    (SubVP, {"beta_min": -1.0}, "`beta_min` must be positive: got beta_min=-1.0, beta_max=20.0."),
    (
        VP,
        {"beta_min": 20.0, "beta_max": 0.1},
        "`beta_max` must exceed `beta_min`: got beta_min=20.0, beta_max=0.1. Did you swap them?",
    ),
    (
        SubVP,
        {"beta_max": 0.1},
        "`beta_max` must exceed `beta_min`: got beta_min=0.1, beta_max=0.1. Did you swap them?",
    ),
    (VE, {"sigma_min": 0.0}, "`sigma_min` must be positive: got sigma_min=0.0, sigma_max=50.0."),
    (
        VE,
        {"sigma_min": 50.0, "sigma_max": 0.01},
        "`sigma_max` must exceed `sigma_min`: got sigma_min=50.0, sigma_max=0.01. "
        "Did you swap them?",
    ),
    (OrnsteinUhlenbeck, {"beta": -5.0}, "`beta` must be positive: got beta=-5.0."),
    (OrnsteinUhlenbeck, {"s": 0.0}, "`s` must be positive: got s=0.0."),
    (
        CosineVP,
        {"log_snr_data": -10.0, "log_snr_prior": 15.0},
        "`log_snr_data` must exceed `log_snr_prior`: "
        "got log_snr_data=-10.0, log_snr_prior=15.0. Did you swap them?",
    ),
]


@pytest.mark.parametrize(("process", "arguments", "message"), ERRORS)
def test_wrong_arguments_name_field_value_rule(process, arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        process(**arguments)


@pytest.mark.parametrize("process", [VP, SubVP, VE])
def test_not_a_number_is_refused(process):
    field = next(iter(process.__dataclass_fields__))
    with pytest.raises(ValueError, match="must be finite in 32 bits"):
        process(**{field: float("nan")})


def test_a_slow_ornstein_uhlenbeck_is_legal_and_warned_of():
    with pytest.warns(UserWarning, match=r"beta=2.0 leaves alpha\(1\) = 0.135 of the data"):
        OrnsteinUhlenbeck(beta=2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        OrnsteinUhlenbeck(beta=4.61)


def test_the_base_class_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        LinearSDE()


@each_sde
def test_processes_are_values(sde):
    assert type(sde)() == sde
    assert hash(type(sde)()) == hash(sde)
    with pytest.raises(AttributeError):
        sde.beta_min = 1.0


def test_equal_processes_are_one_static_argument():
    traces = []

    def variance(sde, t):
        traces.append(sde)
        return sde.sigma(t) ** 2

    compiled = jax.jit(variance, static_argnums=0)
    for _ in range(2):
        for sde in SDES.values():
            compiled(type(sde)(), 0.5)
    assert len(traces) == len(SDES)
