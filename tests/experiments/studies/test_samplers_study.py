"""Many samplers on one run."""

import dataclasses

import numpy as np
import pytest

from experiments.questions import digits_samplers
from experiments.studies import samplers
from sde_jax.recipes.sampler_settings import SamplerSettings

SETTINGS = (
    SamplerSettings(sampler="unipc", steps=2, grid="log-snr"),
    SamplerSettings(sampler="pc", steps=3),
    SamplerSettings(sampler="ode", tolerance=0.1),
)
STUDY = dataclasses.replace(
    digits_samplers(), settings=SETTINGS, evaluations=600, least=64, most=150
)


@pytest.fixture(scope="module")
def found(reproduced, tmp_path_factory):
    folder = tmp_path_factory.mktemp("samplers") / "pictures"
    folder.mkdir()
    return STUDY.measure(reproduced, folder), folder


def test_evaluations_are_counted_and_samples_afforded(found):
    unipc, pc, ode = found[0]["points"]
    assert (unipc["evaluations"], pc["evaluations"]) == (3, 7)
    assert ode["evaluations"] > 10
    assert unipc["samples"] == 192, "150 in batches of 64"
    assert pc["samples"] == 128, "600 evaluations are 85 samples, in batches of 64"
    assert (found[1] / "figure.png").stat().st_size > 10_000


def test_what_was_found_is_not_found_again(found, reproduced, monkeypatch):
    monkeypatch.setattr(samplers, "frechet_distance", lambda *_: pytest.fail("measured again"))
    assert STUDY.measure(reproduced, found[1]) == found[0], "its minutes too"


def test_other_numbers_of_samples_are_drawn_anew(found, reproduced):
    more = dataclasses.replace(STUDY, settings=SETTINGS[:1], most=200)
    (unipc,) = more.measure(reproduced, found[1])["points"]
    assert unipc["samples"] == 256


def test_the_distance_of_the_data_themselves_is_zero(reproduced, tmp_path, monkeypatch):
    """In place of samples, the training data: zero within three standard errors."""
    draw = samplers.Samplers._draw

    def training(self, run, settings):
        drawn, seconds = draw(self, run, settings)
        x = next(run.source.batches(samplers.jax.random.key(0), "train", 1500)).x
        x = x[np.random.default_rng(0).choice(1500, 400, replace=False)]
        nfe, converged = np.full(400, 3), np.ones(400, bool)
        return drawn._replace(x=np.asarray(x), nfe=nfe, converged=converged), seconds

    monkeypatch.setattr(samplers.Samplers, "_draw", training)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    one = dataclasses.replace(STUDY, settings=SETTINGS[:1])
    value, stderr = one.measure(reproduced, pictures)["points"][0]["excess"]
    assert abs(value) < 3 * stderr


def test_the_table_says_how_each_is_set(found):
    _, _, *rows = STUDY.table(found[0])
    assert [row.split("|")[1].strip() for row in rows] == [
        "UniPC",
        "predictor-corrector",
        "probability flow",
    ]
    assert "steps 3, snr 0.16" in rows[1]
    assert "tolerance 0.1" in rows[2]


def test_equal_steps_of_time_are_a_line_of_their_own():
    options = SamplerSettings(sampler="dpm++2m", steps=5, grid="uniform").options()
    point = {"sampler": "dpm++2m", "options": options}
    assert samplers.line_of(point) == "DPM-Solver++ 2M, uniform in t"
    assert samplers.line_of({**point, "options": {"grid": "karras"}}) == "DPM-Solver++ 2M"
    assert samplers.line_of({"sampler": "em", "options": {"steps": 5}}) == "Euler-Maruyama"
