"""Tests of the quickstart, in miniature."""

import numpy as np
import PIL.Image

SAMPLERS = ("em", "pc", "ode")


def size(path):
    with PIL.Image.open(path) as picture:
        return picture.size


def test_its_results_are_those_of_likelihood_and_samples(miniature):
    folder, outcome = miniature
    assert outcome.code == 0, outcome.stderr
    assert outcome.messages == []
    results = outcome.results
    assert results["count"] == 297
    assert 0 < results["stderr"] < results["bits_per_dim"] < 20
    assert results["dimensions"] == 64
    assert results["nfe"] > 1
    assert results["seconds"] > 0
    assert results["failed"] == []
    assert list(results["samples"]) == list(SAMPLERS)
    assert results["out"] == results["samples"]["em"]["out"]
    # 6 predictions and the last denoising; with a corrector twice as many predictions.
    assert results["samples"]["em"]["nfe"] == 7
    assert results["samples"]["pc"]["nfe"] == 13


def test_every_picture_is_there(miniature):
    folder, outcome = miniature
    pictures = outcome.results["pictures"]
    assert set(pictures) == {"samples", "trajectory", "training"}
    sizes = {name: size(path) for name, path in pictures.items()}
    one = size(outcome.results["samples"]["em"]["pictures"][0])
    assert sizes["samples"][0] > 3 * one[0]
    assert min(sizes["trajectory"] + sizes["training"]) > 200


def test_each_sampler_draws_other_images_of_the_17_levels(miniature):
    folder, outcome = miniature
    drawn = {}
    for name in SAMPLERS:
        with np.load(outcome.results["samples"][name]["out"]) as file:
            assert file.files == ["samples"]
            drawn[name] = file["samples"]
        assert drawn[name].shape == (64, 8, 8, 1)
        assert drawn[name].dtype == np.float32
        levels = drawn[name] * 16
        np.testing.assert_allclose(levels, np.round(levels), atol=1e-5)
        assert 0 <= levels.min() < levels.max() <= 16
    assert not np.array_equal(drawn["em"], drawn["pc"])
    assert not np.array_equal(drawn["em"], drawn["ode"])
