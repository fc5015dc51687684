"""Tests of pictures in folders and zips."""

import concurrent.futures
import dataclasses
import io
import json
import os
import pickle
import zipfile

import numpy as np
import PIL.Image
import pytest

from sde_jax.data import BrokenImageError, DataNotFoundError, Folder, ImageScaling, MixedSizesError
from sde_jax.data.encoded_records import Reopened


def level_of(name):
    """A grey level that tells a picture from the others."""
    return sum(name.encode()) % 251


def write(folder, *names, size=(5, 4)):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", size, (level_of(name),) * 3).save(path, lossless=True, quality=100)


def zipped(folder, *, under=""):
    path = folder.with_name("pictures.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for entry in sorted(folder.rglob("*")):
            file.write(entry, under + entry.relative_to(folder).as_posix())
    return path


def everything(records):
    """Level and label of each picture by its name."""
    found = {}
    for of_split in records.values():
        for i, image in enumerate(of_split.read(range(len(of_split)))):
            label = None if of_split.labels is None else int(of_split.labels[i])
            found[of_split.name(i)] = (int(image.flat[0]), label)
    return found


FLAT = [f"{i:02}.{('png', 'JPG', 'jpeg', 'webp')[i % 4]}" for i in range(20)]
NESTED = [f"{kind}/{part}/{i}.png" for kind in ("cat", "ant") for part in "xy" for i in range(5)]


@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize("names", [FLAT, NESTED], ids=["flat", "nested"])
def test_pictures_and_classes_are_those_written(tmp_path, kind, names):
    folder = tmp_path / "pictures"
    write(folder, *names, ".hidden.png", "__MACOSX/x.png")
    (folder / "notes.txt").write_text("mine")
    path = folder if kind == "folder" else zipped(folder)
    records = Folder(path=str(path)).records()
    classes = {"a": 0, "c": 1} if names is NESTED else dict.fromkeys("01")
    assert everything(records) == {
        str(path / name): (level_of(name), classes[name[0]]) for name in names
    }
    assert {split: len(of_split) for split, of_split in records.items()} == {"train": 18, "test": 2}
    assert records["train"].shape == (4, 5, 3)
    names_of = [records["train"].name(i) for i in range(18)]
    assert names_of == sorted(names_of)


def test_a_folder_in_the_zip_changes_nothing(tmp_path):
    write(tmp_path / "pictures", *NESTED)
    records = Folder(path=str(zipped(tmp_path / "pictures", under="top/of/all/"))).records()
    assert {label for _, label in everything(records).values()} == {0, 1}


def test_classes_from_a_listing_and_none(tmp_path):
    write(tmp_path, *NESTED)
    listing = tmp_path / "dataset.json"
    listing.write_text(json.dumps({"labels": [[name, i] for i, name in enumerate(NESTED)]}))
    spec = Folder(path=str(tmp_path))
    found = everything(spec.records())
    assert found == {str(tmp_path / n): (level_of(n), i) for i, n in enumerate(NESTED)}
    assert dataclasses.replace(spec, labels="none").records()["train"].labels is None
    listing.write_text('{"labels": null}')
    assert spec.records()["train"].labels is None
    for text, complaint in {
        "[]": 'must be {"labels": ',
        "{": 'must be {"labels": ',
        '{"labels": [["cat/x/0.png", 1]]}': "has no label for ",
        json.dumps({"labels": [[n, 0.5] for n in NESTED]}): "must have non-negative integers",
    }.items():
        listing.write_text(text)
        with pytest.raises(ValueError) as caught:
            spec.records()
        assert complaint in str(caught.value) and str(listing) in str(caught.value)


def remarks_of(folder, **fields):
    """Class of each picture by its name below the folder, and the remarks."""
    records = Folder(path=str(folder), **fields).records()
    found = everything(records)
    labels = {os.path.relpath(name, folder): label for name, (_, label) in found.items()}
    return labels, records["train"].remarks


def test_pictures_beside_the_subfolders_have_no_classes_and_it_is_said(tmp_path):
    write(tmp_path, *NESTED, "top.png")
    labels, remarks = remarks_of(tmp_path)
    assert set(labels.values()) == {None}
    assert remarks == (
        "no classes: top.png lies beside the folders ant, cat: move it into one of them, or away",
    )
    for path in tmp_path.glob("*/*/*.png"):
        path.unlink()
    write(tmp_path, "other.png")
    assert remarks_of(tmp_path)[1] == ("no classes: the images are not in subfolders",)
    assert remarks_of(tmp_path, labels="none")[1] == ("no classes: `labels` is none",)


def test_files_that_are_no_pictures_do_not_change_the_root(tmp_path):
    write(tmp_path / "deep" / "set", *NESTED)
    (tmp_path / "README.txt").write_text("mine")
    (tmp_path / "deep" / "set" / "cat" / "a.heic").write_text("mine")
    labels, remarks = remarks_of(tmp_path)
    assert {name.split("/")[2]: label for name, label in labels.items()} == {"ant": 0, "cat": 1}
    assert remarks == (
        "ignored: 2 of 22 files, which do not have the suffix of a picture: README.txt, "
        "deep/set/cat/a.heic",
        "2 classes: ant, cat",
    )


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_folders_named_as_splits_are_splits(tmp_path, kind):
    folder = tmp_path / "pictures"
    names = {part: [f"{part}/{name}" for name in NESTED] for part in ("train", "val", "Test")}
    names["val"] = ["val/ant/0.png", "val/bee/0.png"]
    write(folder, *names["train"], *names["val"])

    def splits():
        records = Folder(path=str(folder if kind == "folder" else zipped(folder))).records()
        assert records["train"].class_names == ("ant", "bee", "cat")
        assert records["train"].remarks[0].startswith("splits by subfolder: train 20, test ")
        found = {}
        for split, of_split in records.items():
            shown = [of_split.name(i).partition("/pictures")[2] for i in range(len(of_split))]
            found[split] = dict(zip(shown, of_split.labels.tolist(), strict=True))
        return found

    def labelled(part):
        root = "" if kind == "folder" else ".zip"
        numbers = {"ant": 0, "bee": 1, "cat": 2}
        return {f"{root}/{name}": numbers[name.split("/")[1]] for name in names[part]}

    assert splits() == {"train": labelled("train"), "test": labelled("val")}
    write(folder, *names["Test"])
    assert splits() == {
        "train": labelled("train"),
        "test": labelled("Test"),
        "validation": labelled("val"),
    }


def test_other_folders_are_classes_even_where_one_is_named_train(tmp_path):
    write(tmp_path, "train/0.png", "plane/0.png", "test/0.png")
    assert remarks_of(tmp_path)[1] == ("3 classes: plane, test, train",)
    (tmp_path / "plane" / "0.png").unlink()
    assert set(remarks_of(tmp_path)[0].values()) == {None}


def test_splits_may_have_listings_of_their_own_or_a_common_one(tmp_path):
    write(tmp_path, *(f"{part}/{i}.png" for part in ("train", "val") for i in range(3)))

    def listing(folder, labels):
        (folder / "dataset.json").write_text(json.dumps({"labels": list(labels.items())}))

    common = {f"{part}/{i}.png": i for part in ("train", "val") for i in range(3)}
    listing(tmp_path, common)
    splits = "splits by subfolder: train 3, test 3"
    assert remarks_of(tmp_path) == (common, (splits, "3 classes, from dataset.json"))
    listing(tmp_path / "train", {f"{i}.png": 7 for i in range(3)})
    assert remarks_of(tmp_path)[0] == {n: 7 if n[0] == "t" else i for n, i in common.items()}
    (tmp_path / "dataset.json").unlink()
    assert "val/0.png has no dataset.json, as other splits have" in refused(
        ValueError, path=str(tmp_path)
    )


@pytest.mark.parametrize("text", [b"[" * 100_000, b"\xff", b'{"labels": 5}', b'{"labels": [[1]]}'])
def test_a_malformed_listing_is_named(tmp_path, text):
    write(tmp_path, *FLAT)
    (tmp_path / "dataset.json").write_bytes(text)
    assert f'{tmp_path}/dataset.json must be {{"labels": ' in refused(
        ValueError, path=str(tmp_path)
    )


def test_linked_folders_are_read_once(tmp_path):
    real = tmp_path / "real"
    write(real, *NESTED, ".hidden/0.png")
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "cat").symlink_to(real / "cat")
    labels, _ = remarks_of(linked)
    assert labels.keys() == {name for name in NESTED if name.startswith("cat")}
    (linked / "ant").symlink_to(real / "ant")
    labels, _ = remarks_of(linked)
    assert labels == {name: int(name[0] == "c") for name in NESTED}
    (linked / "zebra").symlink_to(real / "ant")
    (real / "cat" / "loop").symlink_to(tmp_path)
    (real / "ant" / "itself").symlink_to(real / "ant" / "itself")
    (linked / ".secret").symlink_to(real / ".hidden")
    assert remarks_of(linked)[0] == labels
    assert remarks_of(real)[0] == labels


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    write(tmp_path, *NESTED)
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("cat"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert f"{tmp_path}/cat cannot be read: Permission denied" in refused(
        DataNotFoundError, path=str(tmp_path)
    )


def test_every_format_of_pillow_is_read(tmp_path):
    known = PIL.Image.registered_extensions()
    suffixes = "apng avif bmp dib gif ico j2k jfif jp2 jpe jpeg jpg pcx pgm png ppm qoi rgb sgi tga"
    suffixes = [f".{suffix}" for suffix in f"{suffixes} tif tiff webp TIFF".split()]
    written = [suffix for suffix in suffixes if known.get(suffix.lower()) in PIL.Image.SAVE]
    for suffix in written:
        PIL.Image.new("RGB", (16, 16), (99,) * 3).save(
            tmp_path / f"a{suffix}", known[suffix.lower()]
        )
    (tmp_path / "pages.pdf").write_text("mine")
    records = Folder(path=str(tmp_path), held_out=0, grey=True).records()["train"]
    read = records.read(range(len(records)))
    assert len(read) == len(written) > 18
    assert all(abs(image.astype(int) - 99).max() < 3 for image in read)
    assert records.remarks[0].endswith("which do not have the suffix of a picture: pages.pdf")


def test_a_file_without_end_is_no_picture(tmp_path):
    write(tmp_path, *FLAT)
    os.mkfifo(tmp_path / "pipe.png")
    with open(tmp_path / "large.png", "wb") as file:
        file.truncate(3 * 2**30)
    spec = Folder(path=str(tmp_path), image_size=4, held_out=0)
    read = spec.records()["train"].read(range(22))
    errors = [str(image) for image in read if isinstance(image, BrokenImageError)]
    assert errors == [
        f"{tmp_path}/large.png: its 3,221,225,472 bytes are too many for a picture",
        f"{tmp_path}/pipe.png: it is no regular file",
    ]


def test_held_out_pictures_stay_held_out_when_others_come(tmp_path):
    def held_out(part=0.25):
        records = Folder(path=str(tmp_path), held_out=part).records()["test"]
        return {records.name(i) for i in range(len(records))}

    names = [f"{i:03}.png" for i in range(120)]
    write(tmp_path, *names[20:], size=(1, 1))
    before = held_out()
    assert len(before) == 25 and len(held_out(0.001)) == 1 and held_out(0.1) < before
    write(tmp_path, *names, size=(1, 1))
    assert len(held_out()) == 30 and len(held_out() & before) >= 15
    assert list(Folder(path=str(tmp_path), held_out=0).records()) == ["train"]


def test_fingerprints_tell_content_order_classes_and_preprocessing(tmp_path):
    folder = tmp_path / "pictures"
    write(folder, *NESTED)
    spec = Folder(path=str(folder))

    def mark(**fields):
        return dataclasses.replace(spec, **fields).records()["train"].fingerprint

    first = mark()
    assert mark() == first
    different = [mark(image_size=4), mark(grey=True), mark(labels="none"), mark(held_out=0.5)]
    for name in NESTED[:3]:
        os.utime(folder / name, (1e9, 1e9))
    different.append(mark())
    assert len({first, *different}) == 6


def test_the_fingerprint_of_a_zip_is_that_of_its_content(tmp_path):
    folder = tmp_path / "pictures"
    write(folder, *NESTED)
    spec = Folder(path=str(zipped(folder)), image_size=4, held_out=0)
    before = spec.records()["train"].fingerprint
    os.utime(folder / NESTED[0], (1e9, 1e9))
    zipped(folder)
    assert spec.records()["train"].fingerprint == before
    content = (folder / NESTED[0]).read_bytes()
    (folder / NESTED[0]).write_bytes(content[:-1] + b"!")
    zipped(folder)
    assert spec.records()["train"].fingerprint != before


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_processes_and_threads_read_at_once(tmp_path, kind):
    folder = tmp_path / "pictures"
    write(folder, *(f"{i:02}.png" for i in range(40)))
    records = Folder(path=str(folder if kind == "folder" else zipped(folder))).records()["train"]
    expected = [image.tobytes() for image in records.read(range(36))]
    assert [image.tobytes() for image in pickle.loads(pickle.dumps(records)).read(range(36))] == (
        expected
    )
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: records.read(range(36)), range(8)):
            assert [image.tobytes() for image in found] == expected


def test_what_is_open_is_opened_again_in_a_forked_process(monkeypatch):
    """It would share its place in the file with the parent."""
    opened = Reopened(list)
    mine = opened()
    assert opened() is mine
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert opened() is not mine


def test_grey_crop_and_layout_without_the_data(tmp_path):
    write(tmp_path, *FLAT)
    spec = Folder(path=str(tmp_path), grey=True)
    assert spec.layout() == ((4, 5, 1), ImageScaling())
    square = dataclasses.replace(spec, image_size=2, centered=False)
    assert square.records()["test"].shape == (2, 2, 1)
    nowhere = dataclasses.replace(square, path=None)
    assert nowhere.layout() == ((2, 2, 1), ImageScaling(centered=False))
    source = square.load()
    assert source.sizes == {"train": 18, "test": 2} and source.shape == (2, 2, 1)


def broken_ones(folder):
    """Files that are pictures by their names only, and what is said of each."""
    write(folder, "whole.jpg", "whole.png", size=(64, 64))
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    PIL.Image.fromarray(noise).save(folder / "whole.png")
    whole = {kind: (folder / f"whole.{kind}").read_bytes() for kind in ("jpg", "png")}
    (folder / "cut.jpg").write_bytes(whole["jpg"][: len(whole["jpg"]) // 2])
    (folder / "cut.png").write_bytes(whole["png"][: len(whole["png"]) // 2])
    (folder / "empty.png").touch()
    (folder / "page.jpg").write_text("<html>404</html>")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    flipped = bytearray(whole["png"])
    flipped[len(flipped) // 2] ^= 255
    (folder / "flipped.png").write_bytes(flipped)
    PIL.Image.new("L", (2, 2)).save(folder / "other.png", "eps")
    bomb = io.BytesIO()
    PIL.Image.new("1", (20_000, 20_000)).save(bomb, "png")
    (folder / "bomb.png").write_bytes(bomb.getvalue())
    return {
        "cut.jpg": "runcated",
        "cut.png": "",
        "empty.png": "it is no picture of a known format",
        "page.jpg": "it is no picture of a known format",
        "gone.png": "No such file or directory",
        "flipped.png": "",
        "other.png": "it is no picture of a known format",
        "bomb.png": "Image size (400000000 pixels) exceeds limit",
    }


def test_broken_pictures_are_named_and_the_others_read(tmp_path, capsys):
    reasons = broken_ones(tmp_path)
    spec = Folder(path=str(tmp_path), image_size=8, held_out=0)
    records = spec.records()["train"]
    read = records.read(range(len(records)))
    errors = {}
    for image in read:
        if isinstance(image, BrokenImageError):
            name, _, reason = str(image).partition(": ")
            errors[os.path.relpath(name, tmp_path)] = reason
            assert "\n" not in reason and " at 0x" not in reason
            assert str(pickle.loads(pickle.dumps(image))) == str(image)
    assert errors.keys() == reasons.keys()
    for name, reason in reasons.items():
        assert errors[name] and reason in errors[name], name
    assert spec.load().sizes == {"train": 2}
    said = capsys.readouterr().err
    assert all(said.count(f"/{name}") == 1 for name in reasons)


def refused(error, **fields):
    with pytest.raises(error) as caught:
        Folder(**fields).records()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_cannot_be_used_is_one_clear_line(tmp_path):
    here = str(tmp_path)
    assert "`path` must be stated" in refused(ValueError)
    gone = refused(DataNotFoundError, path=here + "/gone")
    assert "gone does not exist: name a folder or a zip" in gone
    assert f"{here} is empty: put pictures there" in refused(DataNotFoundError, path=here)
    (tmp_path / "notes.txt").write_text("none")
    none = refused(DataNotFoundError, path=here)
    assert f"{here} has no pictures: none of its files (1, such as notes.txt) has the" in none
    plain = refused(DataNotFoundError, path=here + "/notes.txt")
    assert "notes.txt is neither a folder nor a zip that can be read" in plain
    assert "is neither a folder nor a zip" in refused(DataNotFoundError, path="/dev/full")
    write(tmp_path, "a.png")
    assert f"{here} has one picture, a.png, which cannot be" in refused(
        DataNotFoundError, path=here
    )
    assert len(Folder(path=here, held_out=0).records()["train"]) == 1
    write(tmp_path, "b.png", size=(7, 3))
    mixed = refused(MixedSizesError, path=here)
    assert "`image_size` must be stated if pictures differ in size" in mixed
    assert "a.png has 4x5 pixels and b.png has 3x7" in mixed
    for name in "ab":
        (tmp_path / f"{name}.png").write_text("none")
    assert "none of the 2 pictures can be read: " in refused(ValueError, path=here)


def test_fields_are_checked_at_once():
    with pytest.raises(ValueError, match=r"`held_out` must lie in \[0, 1\): got 1"):
        Folder(held_out=1)
    with pytest.raises(ValueError, match="`labels` must be auto or none: got 'file'"):
        Folder(labels="file")
    with pytest.raises(ValueError, match="`image_size` must be positive and at most .*: got 0"):
        Folder(image_size=0)
