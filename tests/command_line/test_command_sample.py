"""Tests of ``sample``: what it writes, and that a sample depends on seed and index alone."""

import errno
import re
import resource

import jax
import numpy as np
import pytest
from in_process import contents, refusal, run_command, succeed

from sde_jax.runs import generation
from sde_jax.sampling import Samples


def drawn(run, out, *options):
    """Results and samples; the options decide which."""
    results = succeed("sample", run, "--out", out, *options)
    with np.load(results["out"]) as file:
        assert file.files == ["samples"]
        return results, file["samples"]


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("options", "nfe"),
    [
        slow(["--sampler", "em", "--steps", 3], 4),
        slow(["--sampler", "reverse-diffusion", "--steps", 3], 4),
        slow(["--sampler", "ancestral", "--steps", 3], 4),
        (["--sampler", "pc", "--steps", 3, "--snr", 0.1], 7),
        (["--sampler", "ode", "--tolerance", 0.01], None),
        slow(["--sampler", "ddim", "--steps", 3, "--eta", 0.5, "--grid", "uniform"], 4),
        slow(["--sampler", "heun", "--steps", 3, "--churn", 1.0], 7),
        slow(["--sampler", "dpm++3m", "--steps", 3], 4),
        slow(["--sampler", "unipc"], 21),
        slow(["--sampler", "sde-dpm++2m", "--steps", 3, "--grid", "karras"], 4),
        slow(["--sampler", "gotta-go-fast", "--tolerance", 0.5], None),
        ([], 9),
    ],
    ids=lambda value: str(value[1]) if value and isinstance(value, list) else "",
)
def test_every_sampler_writes_points_in_data_coordinates(ring_run, tmp_path, options, nfe):
    results, points = drawn(ring_run, tmp_path / "points.npz", "--count", 5, *options)
    assert results["count"] == 5
    assert results["seconds"] > 0
    assert results["out"] == str(tmp_path / "points.npz")
    assert results["pictures"] == [str(tmp_path / "points.png")]
    assert results["sampler"] == (options[1] if options else "em")
    assert results["nfe"] == nfe if nfe else results["nfe"] > 7
    assert points.shape == (5, 2)
    assert points.dtype == np.float32
    assert np.isfinite(points).all()
    assert len(np.unique(points)) == 10
    assert set(contents(tmp_path)) == {tmp_path / "points.npz", tmp_path / "points.png"}


def test_a_sample_depends_on_seed_and_index_alone(ring_run, tmp_path):
    _, few = drawn(ring_run, tmp_path / "few.npz", "--count", 3)
    _, many = drawn(ring_run, tmp_path / "many.npz", "--count", 21, "--batch-size", 8)
    _, other = drawn(ring_run, tmp_path / "other.npz", "--count", 3, "--seed", 1)
    np.testing.assert_allclose(few, many[:3], rtol=1e-4)
    assert many.shape == (21, 2)
    assert len(np.unique(many)) == 42
    assert not np.allclose(few, other, rtol=0.01)


def test_images_are_nhwc_in_the_unit_range_with_their_trajectory(tiny_run, tmp_path):
    out = tmp_path / "new" / "folder" / "digits.npz"
    results, images = drawn(tiny_run, out, "--count", 3, "--steps", 4, "--trajectory")
    assert images.shape == (3, 8, 8, 1)
    assert images.dtype == np.float32
    assert 0 <= images.min() < images.max() <= 1
    assert results["out"] == str(out)
    assert results["pictures"] == [
        str(out.with_name(name)) for name in ("digits.png", "digits_trajectory.png")
    ]
    assert {path.name for path in contents(out.parent)} == {
        "digits.npz",
        "digits.png",
        "digits_trajectory.png",
    }


def test_a_trajectory_of_points(ring_run, tmp_path):
    results, _ = drawn(ring_run, tmp_path / "p.npz", "--count", 5, "--steps", 4, "--trajectory")
    assert results["pictures"][1] == str(tmp_path / "p_trajectory.png")
    assert (tmp_path / "p_trajectory.png").stat().st_size > 1000


def test_by_default_it_writes_into_the_run_by_a_name_that_says_how(ring_copy):
    before = contents(ring_copy)
    results = succeed("sample", ring_copy, "--count", 3, "--seed", 7)
    name = ring_copy / "samples" / "em-steps8-at4-seed7-count3"
    assert results["out"] == f"{name}.npz"
    assert set(contents(ring_copy)) - set(before) == {
        name.with_suffix(".npz"),
        name.with_suffix(".png"),
    }
    succeed("sample", ring_copy, "--count", 3, "--seed", 7)


def test_samples_that_are_not_finite_are_named(ring_run, tmp_path):
    options = ["--sampler", "pc", "--snr", 1e25, "--count", 2, "--out", tmp_path / "nan.npz"]
    outcome = run_command("sample", ring_run, *options)
    assert outcome.code == 1
    assert outcome.results["failed"] == [0, 1]
    assert outcome.messages == ["error: no result for example 0, 1: its solve failed."]


def test_help_after_a_run_shows_the_defaults_of_its_experiment(ring_run):
    outcome = run_command("sample", ring_run, "--help")
    assert outcome.code in (0, None)
    text = " ".join(outcome.stdout.replace("│", " ").split())
    assert re.search(r"--steps INT (?:(?!--).)*\(default: 8\)", text)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--sampler", "ode", "--steps", 5], "`steps` does not apply to the sampler ode"),
        (["--sampler", "em", "--snr", 0.1], "`snr` does not apply to the sampler em"),
        (["--tolerance", 0.1], "`tolerance` does not apply to the sampler em"),
        (
            ["--sampler", "euler"],
            "--sampler must be one of ancestral, consistency, ddim, dpm++2m, dpm++3m, em, gotta",
        ),
        (["--sampler", "unipc", "--eta", 0.1], "`eta` does not apply to the sampler unipc"),
        (["--sampler", "shark", "--steps", 5], "`steps` does not apply to the sampler shark"),
        (["--sampler", "ddim", "--eta", 2], "`eta` must be in [0, 1]: got eta=2.0"),
        (["--sampler", "heun", "--churn", -1], "`churn` must be finite and not negative"),
        (["--sampler", "heun", "--grid", "cubic"], "--grid must be one of"),
        (["--steps", 0], "`steps` must be positive"),
        (["--steps", 2.5], "--steps takes an integer: got '2.5'"),
        (["--sampler", "pc", "--snr", -1], "`snr` must be positive"),
        (["--sampler", "ode", "--tolerance", "nan"], "`tolerance` must be positive"),
        (["--count", 0], "`count` must be at least 1"),
        (["--batch-size", 0], "`batch_size` must be at least 1"),
        (["--seed", -1], "`seed` must lie between 0 and 2^32 - 1"),
        (["--sampler", "published"], "the run is of no published model"),
        (["--compute-dtype", "float16"], "--compute-dtype must be one of bfloat16, float32: got"),
        (["--cuont", 3], "Unrecognized options: --cuont, 3. Perhaps you meant --count"),
    ],
)
def test_options_are_refused(ring_copy, options, complaint):
    before = contents(ring_copy)
    assert complaint in refusal("sample", ring_copy, *options)
    assert contents(ring_copy) == before


def test_a_network_in_bfloat16_draws_almost_the_same(ring_copy):
    low, exact = (
        succeed("sample", ring_copy, "--count", 8, "--compute-dtype", dtype)["out"]
        for dtype in ("bfloat16", "float32")
    )
    assert low == exact.replace("em-steps8", "em-steps8-bfloat16")
    low, exact = (np.load(path)["samples"] for path in (low, exact))
    assert 1e-5 < np.abs(low - exact).max() < 0.02 * np.abs(exact).max()


def test_the_run_comes_first(ring_run):
    assert "sample needs the RUN first" in refusal("sample", "--count", 3, ring_run)
    assert "RUN" in refusal("sample")


def test_nothing_is_written_over(ring_run, tmp_path):
    for taken in ("a.npz", "b.png", "c_trajectory.png"):
        (tmp_path / taken).write_text("mine")
        out = tmp_path / f"{taken[0]}.npz"
        assert f"{taken} exists already" in refusal("sample", ring_run, "--out", out)
    assert "is not empty and holds no samples" in refusal("sample", ring_run, "--out", tmp_path)
    assert "Not a directory" in refusal("sample", ring_run, "--out", tmp_path / "a.npz" / "x")
    assert "cannot be written" in refusal("sample", ring_run, "--out", "/proc/samples.npz")
    assert {path.read_text() for path in tmp_path.iterdir()} == {"mine"}


def test_a_full_disk_leaves_nothing_behind(ring_run, tmp_path, monkeypatch):
    drawn = Samples(np.zeros((64, 2)), np.zeros(64), np.ones(64, bool))
    monkeypatch.setattr(generation, "generate", lambda *_, **options: iter([drawn]))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        outcome = run_command("sample", ring_run, "--count", 64, "--out", tmp_path / "x.npz")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert outcome.code == 1
    assert outcome.stdout == ""
    (line,) = outcome.messages
    assert line.startswith("error: ") and "File too large" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code", "complaint"),
    [
        (KeyboardInterrupt(), 130, "error: interrupted."),
        (OSError(errno.ENOSPC, "No space left on device", "f"), 1, "No space left on device"),
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 9 GiB"), 1, "memory is too small"),
    ],
    ids=["interrupt", "disk", "memory"],
)
def test_what_happens_while_drawing_is_one_line(
    ring_run, tmp_path, monkeypatch, error, code, complaint
):
    def generate(*args, **options):
        raise error

    monkeypatch.setattr(generation, "generate", generate)
    line = refusal("sample", ring_run, "--out", tmp_path / "x.npz", code=code)
    assert complaint in line
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_runtime_is_not_hidden(ring_run, tmp_path, monkeypatch):
    def generate(*args, **options):
        raise jax.errors.JaxRuntimeError("INTERNAL: a bug")

    monkeypatch.setattr(generation, "generate", generate)
    with pytest.raises(jax.errors.JaxRuntimeError):
        run_command("sample", ring_run, "--out", tmp_path / "x.npz")
