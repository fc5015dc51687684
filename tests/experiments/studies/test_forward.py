"""The forward processes that are drawn, against the oracles' numpy and scipy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import PIL.Image
import pytest

from experiments.questions import digits_forward, forward
from experiments.studies.forward import DENSITY_CELLS, SCORE_CELLS, SDES, TIMES, mixture, views
from sde_jax.data import Digits

ORACLES = dict(zip(SDES, ("vp", "cosine", "subvp", "ve", "ou", "flow-matching"), strict=True))
each_process = pytest.mark.parametrize("name", SDES)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What the smallest form finds, and where it draws."""
    folder = tmp_path_factory.mktemp("pictures")
    study = dataclasses.replace(digits_forward(), frames=2)
    return study, study.measure(folder / "no runs", folder), folder


def plane():
    """The oracle of the mixture."""
    drawn = mixture()
    axes, variances = (np.asarray(x, np.float64) for x in (drawn.axes, drawn.variances))
    covariances = np.einsum("kij,kj,klj->kil", axes, variances, axes)
    return oracles.Mixture(np.asarray(drawn.weights), np.asarray(drawn.means), covariances)


def middles(extent, count):
    """Centres of equal squares, ``[row, column, coordinate]``, the second coordinate upwards."""
    edges = np.linspace(-extent, extent, count + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    return np.stack(np.meshgrid(centres, centres, indexing="xy"), axis=-1)


def image(side=8):
    """A black image with a white bar."""
    return jnp.full((side, side, 1), -1.0).at[:, 2:4].set(1.0)


@each_process
def test_a_drawn_density_is_all_of_it_and_moves_as_the_process_says(name):
    process, data = oracles.PROCESSES[ORACLES[name]], plane()
    mean = data.weights @ data.means
    for view in views(SDES[name], image(), TIMES):
        alpha, sigma = process.alpha(view.time), process.sigma(view.time)
        points = middles(view.extent, DENSITY_CELLS)
        masses = view.density * (2 * view.extent / DENSITY_CELLS) ** 2
        assert masses.sum() == pytest.approx(1, abs=0.012)
        scale = view.extent / 3
        seen = np.tensordot(masses, points, 2)
        np.testing.assert_allclose(seen, alpha * mean, atol=0.02 * scale)
        square = np.tensordot(masses, (points**2).sum(axis=-1), 2)
        assert square / 2 == pytest.approx(alpha**2 + sigma**2, rel=0.05)
        assert scale == pytest.approx(np.hypot(alpha, sigma), rel=1e-4)


@each_process
def test_arrows_are_the_score_at_their_places(name):
    process, data = oracles.PROCESSES[ORACLES[name]], plane()
    for view in views(SDES[name], image(), TIMES):
        noised = data.noised(process.alpha(view.time), process.sigma(view.time))
        points = middles(view.extent, SCORE_CELLS).reshape(-1, 2)
        exact = noised.score(points).reshape(view.score.shape)
        np.testing.assert_allclose(view.score, exact, rtol=2e-3, atol=2e-4 * abs(exact).max())


@each_process
def test_pixels_are_signal_and_noise_on_the_scale_of_the_title(name):
    """Of an image of one grey: median and quartiles, which clipping leaves as they are."""
    process, grey = oracles.PROCESSES[ORACLES[name]], 0.2
    noises = []
    for view in views(SDES[name], jnp.full((300, 300, 1), grey), (0.1, 0.3)):
        alpha, sigma = process.alpha(view.time), process.sigma(view.time)
        x = (2 * view.image.astype(np.float64) - 1) * (alpha + 2 * sigma)
        low, median, high = np.quantile(x, [0.25, 0.5, 0.75])
        assert median == pytest.approx(alpha * grey, abs=0.02 * sigma)
        assert high - low == pytest.approx(1.349 * sigma, rel=0.02)
        noises.append((x - alpha * grey) / sigma)
    seen = np.max(np.abs(noises), axis=0) < 1
    np.testing.assert_allclose(noises[0][seen], noises[1][seen], atol=2e-3)


def test_an_image_is_itself_at_first():
    first, *_ = views(SDES["VP"], image(), (0.0, 1.0))
    np.testing.assert_allclose(first.image, 0.5 + 0.5 * np.asarray(image()), atol=1e-6)


def test_numbers_are_those_of_the_processes(measured):
    _, found, _ = measured
    x0 = next(Digits().load().batches(jax.random.key(0), "test", 5, count=5)).x[4]
    variance = np.asarray(x0, np.float64).var()
    assert found["times"] == list(TIMES) and set(found["processes"]) == set(SDES)
    for name, numbers in found["processes"].items():
        process = oracles.PROCESSES[ORACLES[name]]
        alpha, sigma = (np.array([of(t) for t in TIMES]) for of in (process.alpha, process.sigma))
        np.testing.assert_allclose(numbers["alpha"], alpha, rtol=1e-4)
        np.testing.assert_allclose(numbers["sigma"], sigma, rtol=1e-4)
        np.testing.assert_allclose(numbers["noise_to_signal"], sigma / alpha, rtol=1e-4)
        share = 1 - sigma**2 / (alpha**2 * variance + sigma**2)
        np.testing.assert_allclose(numbers["signal_share"], share, rtol=1e-3, atol=1e-7)
        half = numbers["equal_at"]
        assert process.sigma(half) == pytest.approx(process.alpha(half), rel=1e-4)


def test_the_table_has_every_number(measured):
    study, found, _ = measured
    head, rule, *rows = study.table(found)
    assert head == "|  | t = 0 | t = 0.1 | t = 0.25 | t = 0.5 | t = 0.75 | t = 1 |"
    assert len(rows) == 4 * len(SDES) and {row.count("|") for row in (head, rule, *rows)} == {8}
    exploding = next(row for row in rows if row.startswith("| VE: σ |"))
    assert exploding.split(" | ")[1:] == ["0.01", "0.0234", "0.0841", "0.707", "5.95", "50 |"]


def test_pictures_are_whole(measured):
    study, found, folder = measured
    assert {file.name for file in folder.iterdir()} == set(found["pictures"].values())
    with PIL.Image.open(folder / found["pictures"]["forward"]) as figure:
        figure.load()
        assert figure.format == "PNG" and figure.width / figure.height == pytest.approx(
            16 / 9, 0.01
        )
    with PIL.Image.open(folder / found["pictures"]["animation"]) as animation:
        assert animation.format == "GIF" and animation.n_frames == study.frames
        frames = []
        for number in range(animation.n_frames):
            animation.seek(number)
            frames.append(np.asarray(animation.convert("RGB"), int))
    paper = np.mean([(frame == 255).all(axis=-1).mean() for frame in frames])
    assert paper > 0.3, "the paper is not white"
    changes = [abs(frame - frames[0]).mean() for frame in frames[1:]]
    assert min(changes) > 3, "nothing moves"


def test_an_animation_has_a_beginning_and_an_end():
    with pytest.raises(ValueError, match="`frames` must be at least 2: got frames=1"):
        dataclasses.replace(digits_forward(), frames=1)


@pytest.mark.slow("test_numbers_are_those_of_the_processes")
def test_mnist_is_read_as_its_models_read_it(shared, tmp_path):
    pytest.importorskip("tensorflow_datasets")
    data = dataclasses.replace(
        forward().data, data_dir=str(shared / "data" / "tfds"), test_split="test[:8]"
    )
    study = dataclasses.replace(forward(), data=data, frames=2)
    found = study.measure(tmp_path, tmp_path)
    assert all((tmp_path / name).stat().st_size for name in found["pictures"].values())
    shares = found["processes"]["VE"]["signal_share"]
    x0 = next(data.load().batches(jax.random.key(0), "test", 5, count=5)).x[4]
    assert shares[3] == pytest.approx(1 / (1 + 0.5 / float(x0.var())), rel=1e-3)
