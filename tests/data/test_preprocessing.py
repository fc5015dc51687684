import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest
from malformed_arrays import promising

from sde_jax.data.preprocessing import Preprocessing, pad_to_square, stored_size


def test_images_are_centred_on_zeros():
    image = np.arange(1, 13, dtype=np.uint8).reshape(3, 2, 2)
    padded = pad_to_square(image, 4)
    assert padded.shape == (4, 4, 2) and padded.dtype == np.uint8
    np.testing.assert_array_equal(padded[:3, 1:3], image)
    assert padded.sum() == image.sum()


def test_the_same_size_changes_nothing():
    image = np.ones((5, 5, 1), np.uint8)
    np.testing.assert_array_equal(pad_to_square(image, 5), image)


def test_larger_images_are_refused():
    with pytest.raises(ValueError, match="`size` must hold an image of 5x3: got 4"):
        pad_to_square(np.ones((5, 3, 1), np.uint8), 4)


def file_of(image, kind="png", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def colour(*rgb, size=(4, 3)):
    return PIL.Image.new("RGB", size, rgb)


def keys_cubic(distance):
    """The kernel of Keys 1981 with a = -1/2."""
    d = np.abs(distance)
    inner = 1.5 * d**3 - 2.5 * d**2 + 1
    outer = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    return np.where(d < 1, inner, np.where(d < 2, outer, 0.0))


def resize_matrix(old, new):
    """Rows of weights: the kernel, as wide as a new pixel where that is the wider, normalized."""
    scale = old / new
    centres = (np.arange(new) + 0.5) * scale
    distance = (np.arange(old) + 0.5 - centres[:, None]) / max(scale, 1.0)
    weights = keys_cubic(distance)
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("height", "width", "size"), [(48, 48, 24), (40, 61, 16), (9, 7, 21)])
def test_the_centre_square_is_resized_by_an_antialiased_cubic(height, width, size):
    levels = np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)
    side = min(height, width)
    upper, left = (height - side) // 2, (width - side) // 2
    square = levels[upper : upper + side, left : left + side].astype(float)
    matrix = resize_matrix(side, size)
    expected = np.einsum("ij,jkc,lk->ilc", matrix, square, matrix).clip(0, 255)
    got = Preprocessing(image_size=size)(PIL.Image.fromarray(levels))
    assert got.dtype == np.uint8 and got.shape == (size, size, 3)
    # Two roundings, of which the clipping of the first is amplified by the second's lobes.
    assert np.quantile(np.abs(got - expected), 0.95) <= 1.01


@pytest.mark.parametrize("kind", ["png", "webp"])
@pytest.mark.parametrize("spec", [{}, {"image_size": 5}, {"image_size": 2, "crop_size": 3}])
def test_constant_images_stay_constant(kind, spec):
    got = Preprocessing(**spec).decode(
        file_of(colour(200, 30, 7, size=(9, 4)), kind, lossless=True)
    )
    np.testing.assert_array_equal(got, np.full_like(got, (200, 30, 7)))


def test_a_gradient_halves_to_the_means_of_its_pairs():
    """A cubic kernel keeps straight lines, whatever its width, but where it is cut off."""
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8) * 4, (64, 64))
    got = Preprocessing(image_size=32, channels=1)(PIL.Image.fromarray(ramp.copy()))[..., 0]
    expected = np.broadcast_to(ramp.reshape(64, 32, 2).mean(axis=2)[:1], (32, 32))
    np.testing.assert_array_equal(got[:, 2:-2], expected[:, 2:-2])


def test_no_stripe_is_lost_in_a_large_step():
    """Of every eighth column white an eighth is left; without antialiasing all or nothing is."""
    stripes = np.zeros((256, 256), np.uint8)
    stripes[:, 5::8] = 248
    got = Preprocessing(image_size=8, channels=1)(PIL.Image.fromarray(stripes))
    assert np.abs(got[:, 1:-1].astype(int) - 31).max() <= 3


def test_a_crop_has_the_middle_of_the_image():
    levels = np.arange(6 * 9, dtype=np.uint8).reshape(6, 9)
    image = PIL.Image.fromarray(levels)
    got = Preprocessing(image_size=6, channels=1)(image)
    np.testing.assert_array_equal(got[..., 0], levels[:, 1:7])
    got = Preprocessing(image_size=3, crop_size=3, channels=1)(image)
    np.testing.assert_array_equal(got[..., 0], levels[1:4, 3:6])


def test_padding_keeps_every_pixel():
    levels = np.arange(1, 7, dtype=np.uint8).reshape(2, 3)
    got = Preprocessing(image_size=5, fit="pad", channels=1)(PIL.Image.fromarray(levels))
    np.testing.assert_array_equal(got[1:3, 1:4, 0], levels)
    assert got.shape == (5, 5, 1) and got.sum() == levels.sum()


def test_stretching_keeps_the_whole_image():
    levels = np.repeat(np.array([[0, 0, 255, 255]], np.uint8), 2, axis=0)
    got = Preprocessing(image_size=2, fit="stretch", channels=1)(PIL.Image.fromarray(levels))
    assert got.shape == (2, 2, 1)
    assert got[:, 0].max() < 30 and got[:, 1].min() > 225


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_header_that_promises_too_much_is_refused(kind):
    for read in (stored_size, Preprocessing(image_size=2).decode):
        with pytest.raises(ValueError, match="its header promises 9000x9000 pixels in"):
            read(promising(kind))


def test_grey_is_luma():
    for rgb, luma in {
        (255, 0, 0): 0.299 * 255,
        (0, 255, 0): 0.587 * 255,
        (0, 0, 255): 0.114 * 255,
        (200, 100, 50): 0.299 * 200 + 0.587 * 100 + 0.114 * 50,
    }.items():
        got = Preprocessing(channels=1)(colour(*rgb))
        assert got.shape == (3, 4, 1)
        assert np.abs(got - luma).max() <= 0.51


@pytest.mark.parametrize("channels", [1, 3])
def test_of_16_bits_the_upper_8_are_kept(channels):
    """Every level k stands for 256 k to 256 k + 255; nothing is clipped."""
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    encoded = file_of(PIL.Image.fromarray(levels))
    assert PIL.Image.open(io.BytesIO(encoded)).mode == "I;16"
    got = Preprocessing(channels=channels).decode(encoded)
    np.testing.assert_array_equal(got, np.repeat((levels // 256)[..., None], channels, axis=2))


def test_colour_of_16_bits():
    """A file of one pixel, written by hand, since Pillow writes none."""

    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    row = zlib.compress(struct.pack(">BHHH", 0, 65535, 513, 255))
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", row), chunk(b"IEND", b"")]
    got = Preprocessing().decode(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    assert got.tolist() == [[[255, 2, 0]]]


def test_alpha_goes_over_white_or_is_kept():
    image = PIL.Image.new("RGBA", (3, 1))
    for column, pixel in enumerate([(10, 20, 30, 255), (10, 20, 30, 0), (0, 0, 100, 51)]):
        image.putpixel((column, 0), pixel)
    encoded = file_of(image)
    got = Preprocessing().decode(encoded)
    assert got[0].tolist() == [[10, 20, 30], [255, 255, 255], [204, 204, 224]]
    kept = Preprocessing(channels=4).decode(encoded)
    assert kept[0, 2].tolist() == [0, 0, 100, 51]
    grey_alpha = file_of(PIL.Image.new("LA", (2, 2), (0, 51)))
    assert np.unique(Preprocessing(channels=1).decode(grey_alpha)) == [204]


def test_palettes_with_and_without_transparency():
    image = PIL.Image.new("P", (2, 1))
    image.putpalette([250, 0, 0, 0, 90, 5])
    image.putpixel((1, 0), 1)
    assert Preprocessing().decode(file_of(image))[0].tolist() == [[250, 0, 0], [0, 90, 5]]
    clear = file_of(image, transparency=1)
    assert Preprocessing().decode(clear)[0].tolist() == [[250, 0, 0], [255, 255, 255]]


def test_one_bit_is_black_and_white():
    image = PIL.Image.fromarray(np.array([[True, False]]))
    got = Preprocessing(channels=1).decode(file_of(image))
    assert got.ravel().tolist() == [255, 0]


def test_cmyk():
    inks = {
        (0, 0, 0, 0): (255, 255, 255),
        (0, 0, 0, 255): (0, 0, 0),
        (255, 0, 0, 0): (0, 255, 255),
        (0, 255, 0, 0): (255, 0, 255),
        (0, 0, 255, 51): (204, 204, 0),
    }
    for ink, rgb in inks.items():
        image = PIL.Image.new("CMYK", (8, 8), ink)
        assert (Preprocessing()(image) == rgb).all()
        written = Preprocessing().decode(file_of(image, "jpeg", quality=100)).astype(int)
        assert np.abs(written - rgb).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_image_upright(orientation):
    """As the standard says where row 0 and column 0 are."""
    upright = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    encoded = file_of(PIL.Image.fromarray(turned.copy()), exif=exif)
    np.testing.assert_array_equal(Preprocessing().decode(encoded), upright)
    assert stored_size(encoded) == (4, 6)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"image_size": 0}, "`image_size` must be positive and at most .*: got 0"),
        ({"crop_size": -1, "image_size": 4}, "`crop_size` must be positive and at most .*: got -1"),
        ({"fit": "fill"}, "`fit` must be crop, pad or stretch: got 'fill'"),
        ({"channels": 2}, "`channels` must be 1, 3 or 4: got 2"),
        ({"crop_size": 4}, "`crop_size` must go with fit=crop and an `image_size`"),
        ({"crop_size": 4, "image_size": 4, "fit": "pad"}, "`crop_size` must go with fit=crop"),
    ],
)
def test_fields_are_checked_at_once(fields, complaint):
    with pytest.raises(ValueError, match=complaint):
        Preprocessing(**fields)


def test_what_has_no_meaning_is_refused():
    with pytest.raises(ValueError, match="`crop_size` must fit into its 3x4 pixels: got 5"):
        Preprocessing(image_size=2, crop_size=5)(colour(0, 0, 0))
    with pytest.raises(ValueError, match="its pixels .mode F. have no fixed range"):
        Preprocessing()(PIL.Image.new("F", (2, 2)))
    with pytest.raises(PIL.UnidentifiedImageError):
        Preprocessing().decode(file_of(colour(0, 0, 0), "eps"))
