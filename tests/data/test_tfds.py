import dataclasses
import io
import json
import pickle
import subprocess
import sys
import textwrap

import numpy as np
import PIL.Image
import pytest
import tensorflow_datasets as tfds

from sde_jax.data import (
    BrokenImageError,
    DataNotFoundError,
    ImageScaling,
    MixedSizesError,
    TfdsImages,
)

MODES = {1: "L", 3: "RGB"}


def pictures(count, shape, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def encoded(image):
    file = io.BytesIO()
    PIL.Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(file, "png")
    return file.getvalue()


def prepare(
    folder, *, name="tiny", shape=(6, 6, 1), splits=("train", "test"), labels=True, fixed=True
):
    """Writes a set as tfds' own builders do; images given as PNG bytes keep TensorFlow out."""
    features = {"image": tfds.features.Image(shape=shape if fixed else (None, None, shape[-1]))}
    if labels:
        features["label"] = tfds.features.ClassLabel(num_classes=10)
    images = {split: pictures(20 + i, shape, seed=i) for i, split in enumerate(splits)}

    def records(split):
        for i, image in enumerate(images[split]):
            yield i, {"image": encoded(image)} | ({"label": i % 10} if labels else {})

    with tfds.core.registered.skip_registration():

        class Tiny(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version("1.0.0")

            def _info(self):
                return tfds.core.DatasetInfo(
                    builder=self, features=tfds.features.FeaturesDict(features)
                )

            def _split_generators(self, manager):
                return {split: records(split) for split in splits}

            def _generate_examples(self):
                raise NotImplementedError

        Tiny.name = name
    Tiny(data_dir=str(folder), file_format="array_record").download_and_prepare()
    return images


def labelled(images, labels):
    """Records come in another order than they were written; compare them as sets."""
    return sorted(
        (image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)
    )


@pytest.mark.parametrize("shape", [(6, 6, 1), (5, 6, 3)])
def test_images_and_labels_are_those_written(tmp_path, shape):
    written = prepare(tmp_path, shape=shape)
    source = TfdsImages(name="tiny", data_dir=str(tmp_path)).load()
    assert source.shape == shape
    assert source.sizes == {"train": 20, "test": 21}
    assert source.scaling.levels == 256
    for split, images in written.items():
        expected = labelled(images, np.arange(len(images)) % 10)
        assert labelled(source.rows[split].images, source.rows[split].labels) == expected


def test_padding_flip_and_no_labels(tmp_path):
    written = prepare(tmp_path, labels=False)
    source = TfdsImages(name="tiny", data_dir=str(tmp_path), image_size=8, flip=True).load()
    assert source.shape == (8, 8, 1) and source.transform.flip and source.classes is None
    inside = source.rows["train"].images[:, 1:7, 1:7]
    assert sorted(map(bytes, inside)) == sorted(map(bytes, written["train"]))
    assert source.rows["train"].images.sum() == written["train"].sum()


def test_version_asked_for_and_newest(tmp_path):
    prepare(tmp_path)
    folder = tmp_path / "tiny" / "1.0.0"
    older = tmp_path / "tiny" / "0.9.0"
    older.mkdir()
    for file in folder.iterdir():
        (older / file.name).write_bytes(file.read_bytes())
    for version in "1.0.0", "0.9.0":
        asked = TfdsImages(name=f"tiny:{version}", data_dir=str(tmp_path))
        assert asked._version_folder().name == version
    assert TfdsImages(name="tiny", data_dir=str(tmp_path))._version_folder().name == "1.0.0"


class Forbidding:
    """Finds no TensorFlow: importing it fails the test."""

    def find_spec(self, name, path=None, target=None):
        assert name.split(".")[0] != "tensorflow"


def test_reading_imports_no_tensorflow(tmp_path, monkeypatch):
    prepare(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Forbidding(), *sys.meta_path])
    assert TfdsImages(name="tiny", data_dir=str(tmp_path)).load().sizes["test"] == 21


@pytest.mark.slow("test_reading_imports_no_tensorflow")
def test_tensorflow_is_not_imported(tmp_path):
    """In a process that finds a TensorFlow, but where importing it fails."""
    prepare(tmp_path)
    program = f"""
        import importlib.machinery, sys

        class Forbidding:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] == "tensorflow":
                    return importlib.machinery.ModuleSpec(name, self)

            def create_module(self, spec):
                raise SystemExit("TensorFlow was imported")

        sys.meta_path.insert(0, Forbidding())
        from sde_jax.data import TfdsImages
        print(TfdsImages(name="tiny", data_dir={str(tmp_path)!r}).load().sizes["test"])
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
    )
    said = "images: 20 + 21 of 6x6x1, 0.0 MB, kept on the device\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, "21\n", said)


def error_of(error_type, **fields):
    with pytest.raises(error_type) as caught:
        TfdsImages(**fields).load()
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_missing_sets_say_how_to_prepare_them(tmp_path, monkeypatch):
    command = f"`tfds build mnist --file_format=array_record --data_dir={tmp_path}"
    nowhere = error_of(DataNotFoundError, data_dir=str(tmp_path / "nowhere"))
    assert "nowhere is not a folder" in nowhere and command in nowhere
    missing = error_of(DataNotFoundError, data_dir=str(tmp_path))
    assert f"{tmp_path} has no 'mnist'" in missing and command in missing
    assert "the extra `prepare`" in missing
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path / "default"))
    default = error_of(DataNotFoundError)
    assert "default is not a folder" in default
    assert "`tfds build mnist --file_format=array_record`" in default


def test_what_cannot_be_read_is_refused_before_reading(tmp_path, monkeypatch):
    folder = tmp_path / "tiny" / "1.0.0"
    prepare(tmp_path, splits=("train", "validation"))
    for records in folder.glob("*.array_record*"):
        records.unlink()
    fields = {"name": "tiny", "data_dir": str(tmp_path)}
    assert "tiny/1.0.0 has no split 'test': it has train, validation" in error_of(
        DataNotFoundError, **fields
    )
    info = folder / "dataset_info.json"
    info.write_text(info.read_text().replace("validation", "test"))
    assert "must be at least the 6 pixels of tiny/1.0.0 if `fit` is pad: got 4" in error_of(
        ValueError, **fields, image_size=4
    )
    assert "`channels` must be the 1 of tiny/1.0.0: got 3" in error_of(
        ValueError, **fields, channels=3
    )
    info.write_text(json.dumps(json.loads(info.read_text()) | {"fileFormat": "tfrecord"}))
    message = error_of(DataNotFoundError, **fields)
    assert "tiny/1.0.0 is prepared as tfrecord" in message
    assert f"`tfds convert_format --dataset_version_dir={folder} --out_file_format=array" in message


def test_images_of_many_sizes_need_a_size(tmp_path):
    prepare(tmp_path, fixed=False)
    fields = {"name": "tiny", "data_dir": str(tmp_path)}
    assert "`image_size` must be stated for tiny/1.0.0: its images differ in size" in error_of(
        MixedSizesError, **fields
    )
    assert TfdsImages(**fields, image_size=4, fit="crop").load().shape == (4, 4, 1)


def test_parts_and_sums_of_splits(tmp_path):
    written = prepare(tmp_path, splits=("train", "validation", "test"))
    parts = [f"{split}[{{}}]" for split in written]
    spec = TfdsImages(
        name="tiny",
        data_dir=str(tmp_path),
        train_split="+".join(parts).format(*[":90%"] * 3),
        test_split="+".join(parts).format(*["90%:"] * 3),
    )
    source = spec.load()
    assert source.sizes == {"train": 57, "test": 6}
    together = np.concatenate([source.rows["train"].images, source.rows["test"].images])
    everything = np.concatenate(list(written.values()))
    assert sorted(map(bytes, together)) == sorted(map(bytes, everything))
    for wrong in ("train[:x]", "half"):
        assert f"tiny/1.0.0 has no split {wrong!r}" in error_of(
            DataNotFoundError, name="tiny", data_dir=str(tmp_path), test_split=wrong
        )
    assert "split 'test[:0]' of tiny/1.0.0 is empty" in error_of(
        DataNotFoundError, name="tiny", data_dir=str(tmp_path), test_split="test[:0]"
    )


def test_records_are_picklable_and_fingerprinted(tmp_path):
    prepare(tmp_path)
    spec = TfdsImages(name="tiny", data_dir=str(tmp_path))
    records = spec.records()["train"]
    records.read([0])
    copy = pickle.loads(pickle.dumps(records))
    assert (len(copy), copy.shape, copy.fingerprint) == (20, (6, 6, 1), records.fingerprint)
    np.testing.assert_array_equal(copy.read([3, 3, 19]), records.read(np.array([3, 3, 19])))
    np.testing.assert_array_equal(copy.labels, records.labels)
    others = [spec.records()["test"], dataclasses.replace(spec, image_size=8).records()["train"]]
    assert len({records.fingerprint, *(other.fingerprint for other in others)}) == 3


def test_a_record_that_cannot_be_decoded_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "encoded", lambda image: b"no picture")
    prepare(tmp_path)
    (error,) = TfdsImages(name="tiny", data_dir=str(tmp_path)).records()["test"].read([5])
    assert isinstance(error, BrokenImageError)
    folder = tmp_path / "tiny" / "1.0.0"
    assert str(error) == f"{folder} test, record 5: it is no picture of a known format"


def test_stated_size_and_channels_need_no_data(tmp_path):
    prepare(tmp_path, shape=(6, 6, 1))
    read = TfdsImages(name="tiny", data_dir=str(tmp_path), image_size=8).layout()
    stated = TfdsImages(name="absent", image_size=8, channels=1).layout()
    assert read == stated == ((8, 8, 1), ImageScaling())


def test_image_size_and_channels_are_checked_at_once():
    with pytest.raises(ValueError, match="`image_size` must be positive and at most .*: got 0"):
        TfdsImages(image_size=0)
    with pytest.raises(ValueError, match="`channels` must be 1, 3 or 4: got 2"):
        TfdsImages(channels=2)


def test_flowers_are_cropped_resized_and_grey(shared):
    parts = ("train", "validation", "test")
    spec = TfdsImages(
        name="oxford_flowers102",
        data_dir=str(shared / "data" / "tfds"),
        image_size=64,
        fit="crop",
        grey=True,
        train_split="+".join(f"{split}[:90%]" for split in parts),
        test_split="+".join(f"{split}[90%:]" for split in parts),
    )
    assert spec.layout().shape == (64, 64, 1)
    records = spec.records()
    assert {split: len(of) for split, of in records.items()} == {"train": 7370, "test": 819}
    assert all(image.shape == (64, 64, 1) for image in records["test"].read(range(0, 819, 80)))
    counts = sum(np.bincount(of.labels, minlength=102) for of in records.values())
    assert (counts.min(), counts.max(), counts.sum()) == (40, 258, 8189)


def test_classes_of_mnist(shared):
    records = TfdsImages(data_dir=str(shared / "data" / "tfds")).records()["test"]
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    np.testing.assert_array_equal(np.bincount(records.labels), counts)
    assert records.shape == (28, 28, 1)


@pytest.mark.slow("test_classes_of_mnist")
def test_mnist(shared):
    source = TfdsImages(data_dir=str(shared / "data" / "tfds"), image_size=32).load()
    assert source.shape == (32, 32, 1)
    assert source.sizes == {"train": 60_000, "test": 10_000}
    for split, counts in {
        "train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        "test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
    }.items():
        np.testing.assert_array_equal(np.bincount(source.rows[split].labels), counts)
    train = source.rows["train"].images
    inside = train[:, 2:30, 2:30]
    moments = np.array([inside.mean(), inside.std()]) / 255
    np.testing.assert_allclose(moments, [0.1307, 0.3081], atol=5e-5)
    assert inside.sum() == train.sum(), "the margin is not empty"
