"""Tests of ``edit``: what is known is kept, what is told is right, and every refusal."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
from in_process import contents, refusal, succeed
from tiny import untrained, write_run

from sde_jax.command_line import edit, importing
from sde_jax.data import Digits
from sde_jax.editing.labels import guidance
from sde_jax.recipes import NoisyClassification
from sde_jax.runs.catalogue import find
from sde_jax.runs.trained_run import open_run, open_run_of
from sde_jax.sampling import Samples

FEW = ("--steps", 3, "--count", 2, "--images", 2)
LUMA = np.array([0.299, 0.587, 0.114])


@pytest.fixture(scope="module")
def coloured_run(tmp_path_factory):
    """A run that knows ten classes of coloured digits, of one convolution."""
    return untrained("colored", tmp_path_factory.mktemp("coloured") / "run")


@pytest.fixture(scope="module")
def noisy_classifier(tmp_path_factory):
    """That of a classifier of the same images and process."""
    return untrained("noisy_classifier", tmp_path_factory.mktemp("noisy") / "run")


@pytest.fixture(scope="module")
def truth():
    """The first held-out images, of 17 levels, in [0, 1]."""
    return Digits(coloured=True).load().images["test"][:2] / 16


def edited(run, out, task, *options):
    """Results and answers."""
    results = succeed("edit", run, "--task", task, "--out", out, *options)
    assert results["picture"] == str(out) and results["failed"] == []
    with np.load(results["out"]) as file:
        assert file.files == ["samples"]
        answers = file["samples"]
    assert answers.dtype == np.float32 and 0 <= answers.min() <= answers.max() <= 1
    assert set(contents(out.parent)) >= {out, out.with_suffix(".npz")}
    return results, answers


@pytest.mark.parametrize(
    "method",
    [
        "replacement",
        pytest.param("repaint", marks=pytest.mark.slow),
        pytest.param("pigdm", marks=pytest.mark.slow),
    ],
)
def test_known_pixels_are_kept(coloured_run, truth, tmp_path, method):
    mask = np.zeros((8, 8, 1))
    mask[2:5, :6] = 1
    np.save(tmp_path / "mask.npy", mask)
    options = ("--demo", "--mask", tmp_path / "mask.npy", "--method", method, *FEW)
    results, answers = edited(coloured_run, tmp_path / "a.png", "inpaint", *options)
    assert answers.shape == (2, 2, 8, 8, 3)
    known = np.broadcast_to(mask > 0, (8, 8, 3))
    for row in range(2):
        for answer in answers[row]:
            np.testing.assert_allclose(answer[known], truth[row][known], atol=1 / 255)
            assert np.abs(answer - truth[row])[~known].mean() > 0.05
    assert results["method"] == method and results["residual"]["value"] < 1e-5
    steps = {"replacement": 3 * 2 + 1, "repaint": 3 * 10 + 1}
    assert results["nfe"] == steps.get(method, 4)


@pytest.mark.parametrize("method", [pytest.param("replacement", marks=pytest.mark.slow), "ddnm"])
def test_grey_is_kept(coloured_run, truth, tmp_path, method):
    options = ("--demo", "--method", method, *FEW)
    results, answers = edited(coloured_run, tmp_path / "a.png", "colorize", *options)
    for row in range(2):
        np.testing.assert_allclose(answers[row] @ LUMA, [truth[row] @ LUMA] * 2, atol=1 / 255)
    assert results["residual"]["value"] < 1 / 255


@pytest.fixture(scope="module")
def demonstration(coloured_run, tmp_path_factory):
    """Results and answers of held-out images at half their resolution."""
    out = tmp_path_factory.mktemp("demonstration") / "a.png"
    return edited(coloured_run, out, "superres", "--demo", "--factor", 2, *FEW)


def test_errors_are_those_of_the_answers(demonstration, truth):
    results, answers = demonstration
    errors = ((answers - truth[:, None]) ** 2).mean(axis=(2, 3, 4))
    decibels = (-10 * np.log10(errors)).mean(axis=1)
    assert results["psnr"]["value"] == pytest.approx(decibels.mean(), rel=1e-4)
    assert results["psnr"]["stderr"] == pytest.approx(decibels.std(ddof=1) / 2**0.5, rel=1e-4)
    assert results["psnr"]["count"] == 4
    blocks = (answers - truth[:, None]).reshape(2, 2, 4, 2, 4, 2, 3).mean(axis=(3, 5))
    residual = np.sqrt((blocks**2).mean(axis=(2, 3, 4))).mean() * 16 / 17
    assert results["residual"]["value"] == pytest.approx(residual, rel=1e-3)


def test_a_measurement_that_is_given_is_that_of_the_demonstration(
    coloured_run, demonstration, truth, tmp_path
):
    """Small images from a file, and from held-out ones: the same answers."""
    small = truth.reshape(2, 4, 2, 4, 2, 3).mean(axis=(2, 4))
    np.savez(tmp_path / "small.npz", samples=small.astype(np.float32))
    options = ("--factor", 2, "--steps", 3, "--count", 2, "--input", tmp_path / "small.npz")
    given, found = edited(coloured_run, tmp_path / "a.png", "superres", *options)
    np.testing.assert_allclose(found, demonstration[1], atol=1e-4)
    assert "psnr" not in given and given["questions"] == 2


def test_pictures_and_masks_are_read_from_files(coloured_run, tmp_path):
    (tmp_path / "pictures").mkdir()
    pixels = np.full((8, 8, 3), 136, np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "pictures" / "a.png")
    mask = np.zeros((8, 8), np.uint8)
    mask[:4] = 255
    PIL.Image.fromarray(mask).save(tmp_path / "mask.png")
    given = ("--input", tmp_path / "pictures", "--mask", tmp_path / "mask.png")
    results, answers = edited(
        coloured_run, tmp_path / "a.png", "inpaint", *given, "--steps", 3, "--count", 3
    )
    assert answers.shape == (1, 3, 8, 8, 3)
    np.testing.assert_allclose(answers[0, :, :4], 136 / 255, atol=1 / 255)
    assert results["questions"] == 1 and results["answers"] == 3


def test_answers_of_other_questions_are_kept_and_equal_ones_replaced(coloured_run, monkeypatch):
    def drawn(*_, key, **options):
        answer = np.full((1, 8, 8, 3), jax.random.key_data(key)[-1])
        return Samples(answer, np.zeros(1), np.ones(1, bool))

    monkeypatch.setattr(edit, "draw_all", drawn)
    few = ("--task", "deblur", "--demo", "--steps", 3, "--count", 1, "--images", 1)
    first, again = (succeed("edit", coloured_run, *few) for _ in range(2))
    other = succeed("edit", coloured_run, *few, "--seed", 1)
    assert first["out"] == again["out"] != other["out"]
    edits = coloured_run / "edits"
    assert set(contents(edits)) >= {edits / name for name in (first["out"], other["out"])}
    assert first["psnr"]["stderr"] is None and first["psnr"]["count"] == 1


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("deblur", ["--noise", 0.1, "--deviation", 0.7, "--sampler", "unipc"]),
        pytest.param("stroke", ["--start", 0.4], marks=pytest.mark.slow),
        pytest.param("deblur", ["--noise", 0.1, "--deviation", 0.7], marks=pytest.mark.slow),
        pytest.param("deblur", ["--method", "ddnm", "--sampler", "unipc"], marks=pytest.mark.slow),
        pytest.param(
            "motion-deblur",
            ["--length", 3, "--angle", 20, "--method", "dps"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_every_other_task_of_an_image_answers(coloured_run, tmp_path, task, options):
    results, answers = edited(coloured_run, tmp_path / "a.png", task, "--demo", *FEW, *options)
    assert answers.shape == (2, 2, 8, 8, 3) and results["nfe"] == 4
    assert len(np.unique(answers[:, :, 0, 0], axis=0)) == 2
    if "unipc" in options:
        assert results["grid"] == "log-snr" and "eta" not in results
    if "--noise" in options:
        assert results["residual"]["noise"] == pytest.approx(0.1)


@pytest.mark.slow("tests/sampling/test_latents.py::test_a_great_circle_is_run_through_evenly")
def test_interpolation_lies_between_and_says_how_well_it_returns(digits_run, tmp_path):
    """Of a network that predicts zero, as those of the package do before they are trained."""
    run, named = tmp_path / "run", open_run(digits_run).named
    importing.write_run(
        run, named, jax.jit(named.experiment.learner((8, 8, 1)).init)(jax.random.key(0))
    )
    results, answers = edited(
        run, tmp_path / "a.png", "interpolate", "--demo", "--images", 3, "--count", 2
    )
    assert answers.shape == (3, 2, 8, 8, 1)
    assert 0 < results["reconstruction"]["value"] < 0.05
    assert results["reconstruction"]["count"] == 3


def test_classes_are_told_to_the_network(coloured_run, tmp_path):
    """One label's answers have its colours, and the noise of the first row of every label's."""
    few = ("--steps", 1, "--count", 2, "--weight", 300.0)
    results, every = edited(coloured_run, tmp_path / "a.png", "class", *few)
    assert every.shape == (10, 2, 8, 8, 3) and results["weight"] == 300
    assert results["nfe"] == 2 * 2
    _, fourth = edited(coloured_run, tmp_path / "b.png", "class", "--label", 4, *few)
    assert fourth.shape == (1, 2, 8, 8, 3)
    assert np.abs(fourth - every[0]).max() > 3e-3
    colours = every.mean(axis=(1, 2, 3)) - fourth.mean(axis=(1, 2, 3))
    assert np.linalg.norm(colours, axis=1).argmin() == 4


def test_a_classifier_moves_the_score_by_its_weight(coloured_run, noisy_classifier):
    run = open_run(coloured_run)
    guide = open_run_of(NoisyClassification, noisy_classifier)
    params = {"score": run.params, "classifier": guide.params}
    x = jax.random.normal(jax.random.key(0), (1, 8, 8, 3))

    @jax.jit
    def score_of(weight):
        options = types.SimpleNamespace(weight=weight)
        return guidance(run, guide, options)(params, jnp.array([3]))(x, 0.5)

    none, one, three = (np.asarray(score_of(weight)) for weight in (0.0, 1.0, 3.0))
    plain = jax.jit(lambda x: run.score(x, 0.5))(x)
    np.testing.assert_allclose(none, plain, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(three - none, 3 * (one - none), rtol=1e-3, atol=1e-5)
    assert np.abs(one - none).max() > 1e-3


@pytest.mark.slow("test_a_classifier_moves_the_score_by_its_weight")
def test_a_classifier_of_no_weight_leaves_plain_samples(coloured_run, noisy_classifier, tmp_path):
    few = ("--steps", 3, "--count", 2, "--classifier", noisy_classifier)
    _, plain = edited(coloured_run, tmp_path / "a.png", "class", "--weight", 0.0, *few)
    _, guided = edited(coloured_run, tmp_path / "b.png", "class", "--weight", 9.0, *few)
    sampler = ("--sampler", "unipc", "--grid", "log-snr", "--steps", 3, "--count", 20)
    results = succeed("sample", coloured_run, "--out", tmp_path / "c.npz", *sampler)
    with np.load(results["out"]) as file:
        samples = file["samples"].reshape(plain.shape)
    np.testing.assert_allclose(plain, samples, atol=0.5 / 16 + 1e-3)
    assert np.abs(guided - plain).max() > 1e-3


REFUSALS = [
    (["--task", "paint", "--demo"], "--task must be one of class, colorize, deblur"),
    (["--task", "inpaint"], "needs --input IMAGES or --demo, one of them"),
    (["--task", "inpaint", "--input", "x.npy"], "needs --mask MASK, or --demo"),
    (["--task", "deblur", "--demo", "--factor", 2], "--factor does not apply to --task deblur"),
    (["--task", "class", "--label", 10], "--label must be from 0 to 9: got 10"),
    (
        ["--task", "superres", "--demo", "--factor", 3],
        "`factor` must be at least 1 and divide height and width of 8x8",
    ),
    (
        ["--task", "superres", "--demo", "--factor", 2, "--method", "repaint"],
        "--method repaint needs known pixels or a known channel",
    ),
    (
        ["--task", "colorize", "--demo", "--method", "replacement", "--noise", 0.1],
        "--noise does not apply to --method replacement",
    ),
    (
        ["--task", "colorize", "--demo", "--method", "replacement", "--sampler", "unipc"],
        "needs a sampler of single steps",
    ),
    (["--task", "deblur", "--demo", "--noise", -1.0], "--noise must be finite and not negative"),
    (["--task", "class", "--images", 2], "--images does not apply to --task class"),
    (["--task", "stroke", "--input", "x.npy", "--images", 2], "--images is for --demo"),
    (["--task", "class", "--weight", "nan"], "--weight must be finite: got nan"),
    (["--task", "class", "--low", 0.8, "--high", 0.2], "must rise within [0, 1]: got 0.8 and 0.2"),
    (["--task", "stroke", "--demo", "--start", 2.0], "--start must be in (0, 1]: got 2.0"),
    (
        ["--task", "deblur", "--demo", "--sampler", "ode", "--steps", 3],
        "`steps` does not apply to the sampler ode",
    ),
    (["--task", "interpolate", "--demo", "--images", 1], "needs two images or more"),
    (["--task", "deblur", "--demo", "--out", "."], "is a folder: name a file in it"),
]


@pytest.mark.parametrize(("options", "message"), REFUSALS, ids=lambda value: str(value)[:40])
def test_what_cannot_be_asked_is_refused(coloured_run, options, message):
    assert message in refusal("edit", coloured_run, *options)


def test_files_that_do_not_fit_are_refused(coloured_run, tmp_path):
    np.save(tmp_path / "bright.npy", np.full((8, 8, 3), 1.5))
    np.save(tmp_path / "large.npy", np.zeros((9, 9, 3)))
    (tmp_path / "text.png").write_text("no picture")
    PIL.Image.fromarray(np.zeros((5, 8), np.uint8)).save(tmp_path / "mask.png")
    cases = {
        "bright.npy": "must hold values in [0, 1]: they are from 1.5 to 1.5",
        "large.npy": "must hold one array of images of 8x8x3: it holds (9, 9, 3)",
        "text.png": "it is no picture of a known format",
        "nothing.png": "does not exist",
    }
    for name, message in cases.items():
        line = refusal("edit", coloured_run, "--task", "stroke", "--input", tmp_path / name)
        assert message in line, line
    options = ("--task", "inpaint", "--demo", "--mask", tmp_path / "mask.png")
    line = refusal("edit", coloured_run, *options)
    assert "must be as large as the run's images, 8x8: it is 5x8" in line


def test_runs_that_do_not_fit_are_refused(coloured_run, noisy_classifier, tmp_path):
    grey_run, classifier = (untrained(name, tmp_path / name) for name in ("digits", "classifier"))
    points = write_run(find("ring"), tmp_path / "ring")
    line = refusal("edit", grey_run, "--task", "class")
    assert "knows no classes" in line and "--classifier RUN" in line
    assert "needs images of 3 channels" in refusal("edit", grey_run, "--task", "colorize", "--demo")
    assert "is of points" in refusal("edit", points, "--task", "stroke", "--demo")
    assert "must be the run of a score model" in refusal(
        "edit", noisy_classifier, "--task", "stroke", "--demo"
    )
    options = ("--task", "class", "--classifier")
    assert "must be of the process and the images" in refusal(
        "edit", grey_run, *options, noisy_classifier
    )
    assert "must be the run of a noise-conditional classifier" in refusal(
        "edit", coloured_run, *options, classifier
    )
