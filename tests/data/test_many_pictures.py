"""2,000 pictures of mixed size, mode and format, ten of them broken."""

import io
import itertools

import numpy as np
import PIL.Image
import pytest

from sde_jax.data import BrokenImageError, Folder

KINDS = (
    *(("RGB", "png"), ("L", "png"), ("P", "png"), ("RGBA", "png"), ("LA", "png"), ("1", "png")),
    *(("I;16", "png"), ("RGB", "jpeg"), ("L", "jpeg"), ("CMYK", "jpeg")),
    *(("RGB", "webp"), ("RGBA", "webp")),
)
BROKEN = range(7, 2000, 200)


def picture(mode, level, size):
    """All of one level, which is grey in every mode."""
    if mode == "I;16":
        return PIL.Image.fromarray(np.full(size[::-1], 256 * level + 99, np.uint16))
    if mode == "1":
        return PIL.Image.new("1", size, 255 * (level > 127))
    if mode in ("L", "LA"):
        return PIL.Image.new(mode, size, (level, 255)[: len(mode)] if mode == "LA" else level)
    if mode == "CMYK":
        return PIL.Image.new("CMYK", size, (0, 0, 0, 255 - level))
    image = PIL.Image.new("RGB", size, (level,) * 3)
    if mode == "P":
        return image.quantize(2)
    return image.convert(mode)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """The folder, and the level of each picture."""
    folder = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(0)
    levels = {}
    for number, (mode, kind) in zip(range(2000), itertools.cycle(KINDS)):
        name = f"{number % 3}/{number:04}.{kind.replace('jpeg', 'jpg')}"
        level = int(rng.integers(256))
        image = picture(mode, level, tuple(rng.integers(3, 40, 2).tolist()))
        file = io.BytesIO()
        image.save(file, kind, quality=100)
        content = file.getvalue()
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content[: len(content) // 2] if number in BROKEN else content)
        levels[name] = 255 * (level > 127) if mode == "1" else level
    return folder, levels


def test_all_but_the_broken_are_what_they_were(many):
    folder, levels = many
    records = Folder(path=str(folder), image_size=8, grey=True).records()
    assert {split: len(of) for split, of in records.items()} == {"train": 1800, "test": 200}
    broken = []
    for of_split in records.values():
        for i, image in enumerate(of_split.read(range(len(of_split)))):
            name = of_split.name(i).removeprefix(f"{folder}/")
            assert of_split.labels[i] == int(name[0])
            if isinstance(image, BrokenImageError):
                assert name in str(image)
                broken.append(int(name[2:6]))
            else:
                assert np.abs(image.astype(int) - levels[name]).max() <= 3, name
    assert sorted(broken) == list(BROKEN)


def test_the_broken_are_named_once_and_counted(many, capsys):
    folder, levels = many
    source = Folder(path=str(folder), image_size=8, held_out=0).load()
    assert source.sizes == {"train": 1990}
    said = capsys.readouterr().err
    assert "10 of 2,000 images are broken and left out\n" in said
    assert all(said.count(f"/{name}") == (int(name[2:6]) in BROKEN) for name in levels)
