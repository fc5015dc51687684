"""Tests of the images and masks that a user gives to ``edit``."""

import types
import zipfile

import numpy as np
import PIL.Image
import pytest
from malformed_arrays import arrays, encrypted, promising, zipped

from sde_jax.arguments import UsageError
from sde_jax.data import DataNotFoundError, Digits, Folder, ImageScaling
from sde_jax.editing.images import read_images
from sde_jax.editing.masks import masks_for

SHAPE = (8, 8, 3)
LEFT = np.tile(np.arange(8) < 4, (8, 1))
UPPER = LEFT.T


class Unscaled(ImageScaling):
    """Leaves images in [0, 1], and compiles nothing."""

    def from_unit(self, unit):
        return unit


def levels(path, data, shape):
    """Grey levels of the images that are read for a run on ``data``."""
    experiment = types.SimpleNamespace(data=data)
    layout = types.SimpleNamespace(scaling=Unscaled())
    run = types.SimpleNamespace(experiment=experiment, layout=layout)
    return np.rint(np.asarray(read_images(path, run, shape)) * 255).astype(int)


def picture(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(path, **options)
    return path


def framed(size, inner):
    """Black, with a white square in the middle."""
    pixels, margin = np.zeros((size, size, 3), np.uint8), (size - inner) // 2
    pixels[margin : margin + inner, margin : margin + inner] = 255
    return pixels


@pytest.mark.parametrize(
    ("fields", "pixels", "shape", "expected"),
    [
        ({"image_size": 10, "crop_size": 20}, framed(40, 20), (10, 10, 3), 255),
        ({"image_size": 40, "crop_size": 20}, framed(40, 20), (40, 40, 3), 255),
        ({"image_size": 10, "crop_size": 20}, framed(40, 20), (5, 5, 3), 255),
        ({"image_size": 10, "crop_size": 20}, framed(10, 10), (10, 10, 3), 255),
        ({"image_size": 10, "crop_size": 20}, framed(5, 5), (5, 5, 3), 255),
        ({"image_size": 8, "fit": "pad"}, framed(4, 4), SHAPE, framed(8, 4)),
        ({"image_size": 8, "fit": "stretch"}, framed(8, 8)[:4], SHAPE, 255),
        ({"image_size": 8, "grey": True}, framed(8, 8), (8, 8, 1), 255),
        ({}, framed(8, 8)[:, :6], (8, 6, 3), 255),
    ],
)
def test_pictures_are_preprocessed_as_the_data(tmp_path, fields, pixels, shape, expected):
    found = levels(picture(tmp_path / "a.png", pixels), Folder(**fields), shape)
    np.testing.assert_array_equal(found, np.broadcast_to(expected, (1, *shape)))


def test_arrays_of_grey_images_may_lack_the_channel(tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (2, 8, 8)) / 255
    for name, array in {"a": grey, "b": grey[..., None], "c": grey[:, None, :, :, None]}.items():
        np.save(tmp_path / f"{name}.npy", array)
        found = levels(tmp_path / f"{name}.npy", Digits(), (8, 8, 1))
        np.testing.assert_array_equal(found[..., 0], np.rint(grey * 255))


def test_the_one_array_of_images_is_taken(tmp_path):
    np.savez(tmp_path / "x.npz", count=np.array(2), images=np.ones((2, *SHAPE)), labels=np.ones(2))
    assert (levels(tmp_path / "x.npz", Digits(), SHAPE) == np.full((2, *SHAPE), 255)).all()


def refused(read, *args):
    with pytest.raises((UsageError, DataNotFoundError)) as caught:
        read(*args)
    line = str(caught.value)
    assert "\n" not in line and " at 0x" not in line and len(line) < 400
    return line


def test_malformed_files_are_refused_in_one_line(tmp_path):
    for name, (content, complaint) in arrays().items():
        (tmp_path / name).write_bytes(content)
        line = refused(levels, tmp_path / name, Digits(), SHAPE)
        assert complaint in line and str(tmp_path / name) in line
        assert str(tmp_path / name) in refused(masks_for, tmp_path / name, None, 1, SHAPE)


def test_pictures_that_cannot_be_used_are_named(tmp_path):
    archive = zipped(picture(tmp_path / "whole.png", framed(8, 8)).read_bytes(), "a.png")
    cases = {
        "text.png": (b"no picture", "text.png: it is no picture of a known format"),
        "small.png": (picture(tmp_path / "x.png", framed(4, 4)).read_bytes(), "it must be 8x6x3"),
        "png.png": (promising("png"), "its header promises 9000x9000 pixels in"),
        "jpeg.jpg": (promising("jpeg"), "its header promises 9000x9000 pixels in"),
        "webp.webp": (promising("webp"), "its header promises 9000x9000 pixels in"),
        "locked.zip": (encrypted(archive), "locked.zip/a.png: File 'a.png' is encrypted"),
        "method.zip": (archive.replace(b"\x08\0", b"\x61\0"), "method.zip/a.png: That compression"),
        "cut.zip": (archive[:60], "cut.zip: it is no picture of a known format"),
        "empty.zip": (b"PK\5\6" + bytes(18), "empty.zip is empty"),
    }
    for name, (content, complaint) in cases.items():
        (tmp_path / name).write_bytes(content)
        assert complaint in refused(levels, tmp_path / name, Folder(), (8, 6, 3)), name
    assert "is neither a folder nor a zip" in refused(
        levels, tmp_path / "/dev/full", Folder(), SHAPE
    )
    assert "does not exist" in refused(levels, tmp_path / "gone", Folder(), SHAPE)


def masks(path, count=1, images=None):
    return masks_for(path, images, count, SHAPE)[..., 0]


def test_a_mask_is_white_opaque_or_one_where_pixels_are_known(tmp_path):
    white = np.where(LEFT, 255, 0).astype(np.uint8)
    colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    soft = np.where(LEFT, 200, 100).astype(np.uint8)
    bright = np.full((8, 8), 255, np.uint8)
    palette = PIL.Image.fromarray(np.where(LEFT, 1, 0).astype(np.uint8), "P")
    palette.putpalette([255, 255, 255, 0, 0, 0])
    palette.save(tmp_path / "palette.png", transparency=0)
    for name, pixels in {
        "grey": white,
        "soft": soft,
        "colour": np.dstack([white] * 3),
        "opaque": np.dstack([white] * 3 + [bright]),
        "nearly": np.dstack([white] * 3 + [bright - 1]),
        "alpha": np.dstack([colours, white]),
        "inverse": np.dstack([255 - white, white]),
        "bits": LEFT,
    }.items():
        picture(tmp_path / f"{name}.png", pixels)
    for name, array in {
        "rows": LEFT,
        "one": LEFT[None, ..., None],
        "real": 0.1 + 0.8 * LEFT,
    }.items():
        np.save(tmp_path / f"{name}.npy", array)
    for path in [*tmp_path.glob("*.png"), *tmp_path.glob("*.npy")]:
        np.testing.assert_array_equal(masks(path, 3), [LEFT] * 3, err_msg=path.name)


def test_a_mask_that_asks_nothing_is_refused_with_its_values(tmp_path):
    faint = picture(tmp_path / "faint.png", np.eye(8, dtype=np.uint8))
    assert "above 127.5 of 255, and others as unknown: its values are 0, 1." in refused(
        masks, faint
    )
    for level in (0, 255):
        path = picture(tmp_path / f"{level}.png", np.full((8, 8), level, np.uint8))
        assert f"{path} must mark" in (line := refused(masks, path)) and f"are {level}." in line
    clear = picture(tmp_path / "clear.png", np.full((8, 8, 4), (255, 255, 255, 0), np.uint8))
    assert "its values are 0." in refused(masks, clear)
    ramp = picture(tmp_path / "ramp.png", np.arange(64, dtype=np.uint8).reshape(8, 8))
    assert "its values are 0 to 63." in refused(masks, ramp)
    np.save(tmp_path / "some.npy", [LEFT, np.ones((8, 8))])
    assert "above 0.5 of 1, and others as unknown: its values are 1." in refused(
        masks, tmp_path / "some.npy", 2
    )


@pytest.fixture
def pairs(tmp_path):
    """Folders of two images and of their masks."""
    for name, known in {"1": LEFT, "10": UPPER}.items():
        picture(tmp_path / "images" / f"{name}.jpg", framed(8, 8))
        picture(tmp_path / "masks" / f"{name}.png", np.where(known, 255, 0).astype(np.uint8))
    return tmp_path


def test_each_image_gets_the_mask_of_its_name(pairs, capsys):
    found = masks(pairs / "masks", 2, pairs / "images")
    np.testing.assert_array_equal(found, [LEFT, UPPER])
    assert capsys.readouterr().err == ""
    (pairs / "masks" / "1.png").rename(pairs / "masks" / "2.png")
    line = refused(masks, pairs / "masks", 2, pairs / "images")
    assert "must have a mask named as each image: there is none for 1." in line


def test_masks_of_other_names_are_paired_in_order_and_it_is_said(pairs, capsys):
    for name in ("1", "10"):
        (pairs / "masks" / f"{name}.png").rename(pairs / "masks" / f"{name}_mask.png")
    found = masks(pairs / "masks", 2, pairs / "images")
    np.testing.assert_array_equal(found, [UPPER, LEFT])
    said = capsys.readouterr().err
    assert "images are masked in order: 1 by 10_mask, 10 by 1_mask" in said
    with zipfile.ZipFile(pairs / "masks.zip", "w") as file:
        for path in sorted((pairs / "masks").iterdir()):
            file.write(path, path.name)
    np.testing.assert_array_equal(masks(pairs / "masks.zip", 2), [UPPER, LEFT])
    np.save(pairs / "masks.npy", [LEFT, UPPER])
    np.testing.assert_array_equal(masks(pairs / "masks.npy", 2, pairs / "images"), [LEFT, UPPER])


def test_another_number_of_masks_is_refused_with_both_counts(pairs):
    for path in (pairs / "masks", pairs / "masks.npy"):
        np.save(pairs / "masks.npy", np.stack([LEFT, UPPER])[..., None])
        line = refused(masks, path, 3)
        assert "must hold one mask, or one for each of 3 images: it holds 2." in line
