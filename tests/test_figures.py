import math

import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
from matplotlib.figure import Figure

from sde_jax import figures


def random_images(count, side=8, channels=1, seed=0):
    return np.random.default_rng(seed).random((count, side, side, channels), dtype=np.float32)


def read(path):
    with PIL.Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def tile(picture, row, column, side=64, left=4, top=4):
    start = np.array([top, left]) + (side + 4) * np.array([row, column])
    return picture[start[0] : start[0] + side, start[1] : start[1] + side]


def ring(radius, count=400):
    angle = np.linspace(0, 2 * math.pi, count, endpoint=False)
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


@pytest.fixture
def drawn(monkeypatch):
    """The matplotlib figures that are saved while the test runs."""
    saved = []
    save = Figure.savefig

    def remember(figure, *arguments, **options):
        saved.append(figure)
        return save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", remember)
    return saved


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid_shows_each_pixel_enlarged_and_in_its_place(tmp_path, channels):
    images = random_images(7, channels=channels)
    figures.image_grid(jnp.asarray(images), tmp_path / "grid.png", columns=3)
    picture = read(tmp_path / "grid.png")
    assert picture.shape == (3 * 68 + 4, 3 * 68 + 4, 3)
    for place, image in enumerate(images):
        shown = tile(picture, *divmod(place, 3))
        blocks = shown.reshape(8, 8, 8, 8, 3)
        assert (blocks == blocks[:, :1, :, :1]).all(), "a pixel is not one colour"
        np.testing.assert_allclose(
            blocks[:, 0, :, 0] / 255, np.broadcast_to(image, (8, 8, 3)), atol=0.5 / 255 + 1e-6
        )
    assert (tile(picture, 2, 2) == 255).all(), "the empty place is not white"


def test_a_grid_is_square_and_large_images_keep_their_size(tmp_path):
    figures.image_grid(random_images(16, side=100), tmp_path / "grid.png")
    assert read(tmp_path / "grid.png").shape == (4 * 104 + 4, 4 * 104 + 4, 3)


def test_values_outside_the_range_are_clipped(tmp_path):
    images = np.array([-1.0, 2.0, np.nan, np.inf]).reshape(4, 1, 1, 1)
    figures.image_grid(images, tmp_path / "grid.png", columns=4)
    picture = read(tmp_path / "grid.png")
    assert [tile(picture, 0, i)[0, 0, 0] for i in range(4)] == [0, 255, 0, 255]


@pytest.mark.parametrize("shape", [(4, 8, 8), (4, 8, 8, 2), (0, 8, 8, 1)])
def test_other_shapes_are_refused(tmp_path, shape):
    with pytest.raises(ValueError, match=r"`images` must be \[count, height, width, 1 or 3"):
        figures.image_grid(np.zeros(shape), tmp_path / "grid.png")
    assert not list(tmp_path.iterdir())


def test_a_panel_holds_all_grids_and_whole_titles(tmp_path):
    titles = ["Euler–Maruyama", "a title much wider than its one picture", "ODE"]
    grids = {title: random_images(1, seed=i) for i, title in enumerate(titles)}
    figures.image_panel(grids, tmp_path / "panel.png")
    picture = read(tmp_path / "panel.png")
    for images in grids.values():
        row = np.rint(np.repeat(images[0, 0, :, 0], 8) * 255).astype(np.uint8)
        windows = np.lib.stride_tricks.sliding_window_view(picture[..., 0], 64, axis=1)
        assert (windows == row).all(axis=-1).any(), "a grid is missing"
    edge = np.concatenate([picture[:4].ravel(), picture[:, :8].ravel(), picture[:, -8:].ravel()])
    assert (edge == 255).all(), "a title touches the edge"


def test_a_trajectory_has_a_column_for_each_time(tmp_path):
    frames = [random_images(5, seed=i) for i in range(3)]
    figures.trajectory(frames, [1.0, 0.5, 0.0], tmp_path / "trajectory.png")
    picture = read(tmp_path / "trajectory.png")
    top = picture.shape[0] - 16 - 4 - 5 * 68 + 4
    for column, images in enumerate(frames):
        for row, image in enumerate(images):
            shown = tile(picture, row, column, left=16 + 4, top=top)[::8, ::8, 0]
            np.testing.assert_allclose(shown / 255, image[..., 0], atol=0.5 / 255 + 1e-6)


def test_curves_show_what_the_log_has(tmp_path, drawn):
    metrics = [{"step": step, "loss": 100.0 / step} for step in range(1, 101)]
    metrics[49]["held_out_loss"] = 3.0
    metrics[99]["held_out_loss"] = math.inf
    names = {"loss": "training", "held_out_loss": "held out", "absent": "never"}
    figures.curves(iter(metrics), tmp_path / "curves.png", series=names)
    (axes,) = drawn[0].axes
    training, held_out = axes.lines
    np.testing.assert_array_equal(training.get_xydata(), [(s, 100.0 / s) for s in range(1, 101)])
    np.testing.assert_array_equal(held_out.get_xydata(), [(50, 3.0), (100, math.inf)])
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["training", "held out"] and axes.get_yscale() == "log"


def test_curves_are_linear_below_zero_and_empty_without_numbers(tmp_path, drawn):
    losses = [{"step": 0, "loss": -1.0}, {"step": 1, "loss": 20.0}]
    for name, metrics in {"negative": losses, "empty": []}.items():
        figures.curves(metrics, tmp_path / f"{name}.png", series={"loss": "training"})
        assert drawn[-1].axes[0].get_yscale() == "linear"


def test_a_histogram_is_a_density(tmp_path, drawn):
    values = {"data": np.array([0.0, 1.0, 1.0, 2.0]), "model": np.array([5.0, 6.0])}
    figures.histogram(values, tmp_path / "histogram.png", xlabel="bits per dimension", bins=6)
    (axes,) = drawn[0].axes
    bars = [container for container in axes.containers if len(container) == 6]
    for container, shares in zip(bars, [[1, 2, 1, 0, 0, 0], [0, 0, 0, 0, 0, 2]], strict=True):
        heights = [bar.get_height() for bar in container]
        np.testing.assert_allclose(heights, np.array(shares) / sum(shares), atol=1e-12)
    assert axes.get_xlabel() == "bits per dimension"


def test_point_frames_share_their_limits(tmp_path, drawn):
    rows = {
        "forward": [(0.0, ring(1.0)), (0.5, ring(2.0)), (1.0, ring(3.0))],
        "reverse": [(1.0, ring(3.0)), (0.0, ring(1.0))],
    }
    figures.point_frames(rows, tmp_path / "points.png")
    panels = [axes for axes in drawn[0].axes if axes.get_visible()]
    assert [a.get_title() for a in panels] == [f"t = {t:.2f}" for t in (0, 0.5, 1, 1, 0)]
    assert {axes.get_xlim() + axes.get_ylim() for axes in panels} == {panels[0].get_xlim() * 2}
    assert panels[0].get_xlim()[1] == pytest.approx(3.3, rel=0.01)
    np.testing.assert_allclose(panels[4].collections[0].get_offsets(), ring(1.0))


def test_arrows_point_along_the_score(tmp_path, drawn):
    def score(x, t):
        return -x / (t + 0.1) ** 2

    times = [0.1, 1.0]
    figures.vector_field(score, [(t, ring(1.5)) for t in times], tmp_path / "field.png")
    panels = [axes for axes in drawn[0].axes if axes.get_title()]
    for axes, t in zip(panels, times, strict=True):
        arrows = axes.collections[1]
        expected = -arrows.XY / (t + 0.1) ** 2
        length = np.linalg.norm(expected, axis=1)
        np.testing.assert_allclose(
            np.stack([arrows.U, arrows.V], 1), expected / length[:, None], atol=1e-5
        )
        np.testing.assert_allclose(arrows.get_array(), length, rtol=1e-5)
    norms = {axes.collections[1].norm for axes in panels}
    assert len(norms) == 1, "panels have colour scales of their own"


def test_a_score_that_is_zero_can_be_drawn(tmp_path):
    """As that of a network before training, whose last layer starts at zero."""
    figures.vector_field(lambda x, t: 0 * x, [(0.5, ring(1.0))], tmp_path / "field.png")
    assert (tmp_path / "field.png").exists()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "grid.png"
    path.write_bytes(b"old")

    def fail(image, file, **options):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PIL.Image.Image, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        figures.image_grid(random_images(4), path)
    assert [file.name for file in tmp_path.iterdir()] == ["grid.png"]
    assert path.read_bytes() == b"old"


def test_the_suffix_names_the_format(tmp_path):
    figures.histogram({"data": np.arange(9.0)}, tmp_path / "plot.svg", xlabel="x")
    assert "<svg" in (tmp_path / "plot.svg").read_text()


def test_samples_stand_beside_their_neighbours(tmp_path):
    samples, nearest = random_images(3), random_images(6, seed=1).reshape(3, 2, 8, 8, 1)
    columns = {"sample": samples[:, None], "nearest in training": nearest}
    figures.image_rows(columns, tmp_path / "neighbours.png")
    picture = read(tmp_path / "neighbours.png")
    top = 16 + 2 * 14
    for row in range(3):
        shown = tile(picture, row, 0, left=20, top=top + 4)[::8, ::8, :1]
        np.testing.assert_allclose(shown / 255, samples[row], atol=0.5 / 255 + 1e-6)
        right = picture.shape[1] - 16 - (2 * 68 + 4)
        for column in range(2):
            shown = tile(picture, row, column, left=right + 4, top=top + 4)[::8, ::8, :1]
            np.testing.assert_allclose(shown / 255, nearest[row, column], atol=0.5 / 255 + 1e-6)
