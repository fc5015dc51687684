import dataclasses
import itertools

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from png_records import PngRecords, pictures, png_records

from sde_jax.data import ArraySource, ImageScaling, placement, storage
from sde_jax.data.placement import local_places, put_local
from sde_jax.data.rows import DeviceRows, HostRows
from sde_jax.data.storage import Storage, open_images
from sde_jax.data.transform import DequantizeAndFlip

IMAGES = {"train": pictures(53, seed=0), "test": pictures(21, seed=1)}
LABELS = {"train": np.arange(53) * 3, "test": np.arange(21) * 5}
BROKEN = {"train": [0, 17, 52], "test": [4]}
GOOD = {split: np.delete(np.arange(len(IMAGES[split])), BROKEN[split]) for split in IMAGES}
KEEPS = ("device", "cache", "stream")


def records(*, broken=BROKEN, labels=LABELS):
    return {
        split: png_records(
            images,
            broken=broken.get(split, ()),
            labels=labels and labels[split].astype(np.int32),
            fingerprint=f"{split} {broken}",
        )
        for split, images in IMAGES.items()
    }


@pytest.fixture
def opened(tmp_path):
    """Opens images kept in some way; streams are read by threads."""

    def open_kept(keep, of=None, *, flip=True, dequantize=True):
        source = open_images(
            records() if of is None else of,
            Storage(keep=keep, folder=str(tmp_path / "cache"), workers=2),
            DequantizeAndFlip(
                scaling=ImageScaling(centered=False), flip=flip, dequantize=dequantize
            ),
        )
        for split, rows in source.rows.items():
            assert isinstance(rows, DeviceRows if keep == "device" else HostRows)
            if keep != "device":
                assert rows.processes == (2 if keep == "stream" else 0)
                source.rows[split] = dataclasses.replace(rows, processes=0)
        return source

    return open_kept


def expected_source(**settings):
    return ArraySource(
        {split: IMAGES[split][good] for split, good in GOOD.items()},
        {split: LABELS[split][good] for split, good in GOOD.items()},
        scaling=ImageScaling(centered=False),
        **settings,
    )


def take(iterator, count):
    return list(itertools.islice(iterator, count))


def sharding(devices):
    mesh = Mesh(np.array(jax.devices()[:devices]), ("data",))
    return NamedSharding(mesh, PartitionSpec("data"))


def assert_same(ones, others):
    for one, other in zip(ones, others, strict=True):
        np.testing.assert_array_equal(one.x, other.x)
        np.testing.assert_array_equal(one.label, other.label)
        assert one.x.dtype == other.x.dtype and one.label.dtype == other.label.dtype
        assert one.x.sharding == other.x.sharding
        assert one.label.sharding == other.label.sharding


@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize(
    ("devices", "settings"),
    [
        (None, {"flip": True, "dequantize": True}),
        (None, {"flip": False, "dequantize": False}),
        (8, {"flip": True, "dequantize": True}),
    ],
)
def test_the_batches_are_those_of_arrays(opened, key, keep, devices, settings):
    """Over the ends of epochs, from a later start, with a partial last batch, on many devices."""
    place = {"sharding": devices and sharding(devices)}
    sources = expected_source(**settings), opened(keep, **settings)
    assert sources[1].sizes == {"train": 50, "test": 20} and sources[1].shape == (4, 6, 1)
    for start in (0, 5):
        streams = [source.stream(key, "train", 16, start=start, **place) for source in sources]
        assert_same(*(take(stream, 8) for stream in streams))
    for count in (None, 12):
        passes = [source.batches(key, "test", 8, count=count, **place) for source in sources]
        assert_same(*map(list, passes))


@pytest.mark.parametrize("keep", KEEPS)
def test_without_labels_and_broken_ones(opened, key, keep, capsys):
    source = opened(keep, records(broken={}, labels=None))
    (batch,) = take(source.stream(key, "train", 7), 1)
    assert batch.label is None and source.sizes == {"train": 53, "test": 21}
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("keep", KEEPS)
def test_broken_ones_are_named_once(opened, keep, capsys):
    named = ["train 0", "train 17", "train 52", "test 4"]
    for _ in range(2):
        opened(keep)
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 2 + len(named)
        assert lines[0].startswith("images: 53 + 21 of 4x6x1, 0.0 MB, ")
        wanted = [f"broken image: picture {name.split()[1]}: cut short" for name in named]
        assert lines[1:-1] == wanted
        assert lines[-1] == "4 of 74 images are broken and left out"


def test_of_many_broken_ones_ten_are_named(opened, capsys):
    opened("device", records(broken={"train": range(12)}))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 + 10 + 1
    assert lines[-1] == "12 of 74 images are broken and left out, 2 of them not named"


@pytest.mark.parametrize("keep", KEEPS)
def test_nothing_but_broken_ones_is_an_error(opened, keep):
    with pytest.raises(ValueError, match="split 'test' has no image .*: all 21 are broken"):
        opened(keep, records(broken={"test": range(21)}))


def test_known_records_are_not_decoded_again(opened, key, monkeypatch):
    decoded = []
    read = PngRecords.read
    monkeypatch.setattr(
        PngRecords, "read", lambda self, indices: decoded.extend(indices) or read(self, indices)
    )
    everything = sorted([*range(53), *range(21)])
    for keep, expected in [("stream", everything), ("stream", []), ("cache", everything)]:
        opened(keep)
        assert sorted(decoded) == expected
        decoded.clear()
    take(opened("cache").stream(key, "train", 16), 5)
    assert not decoded


def test_each_process_reads_the_rows_of_its_devices(monkeypatch):
    """A process of which devices 2, 3 and 6 of 8 are: examples 4-7 and 12, 13 of 16."""

    class Partly:
        def addressable_devices_indices_map(self, shape):
            assert shape == (16,)
            return {device: (slice(2 * device, 2 * device + 2),) for device in (2, 3, 6)}

    parts = {}

    def from_callback(shape, sharding, callback):
        assert shape == (16, 1)
        for start, stop in ((4, 6), (6, 8), (12, 14)):
            parts[start] = callback((slice(start, stop), slice(None))).tolist()

    monkeypatch.setattr(placement.jax, "make_array_from_callback", from_callback)
    places = local_places(Partly(), 16)
    assert places.tolist() == [4, 5, 6, 7, 12, 13]
    put_local(100 + places[:, None], 16, Partly())
    assert parts == {4: [[104], [105]], 6: [[106], [107]], 12: [[112], [113]]}


@pytest.mark.parametrize(
    ("on_device", "free", "expected"),
    [(1776, 0, "on the device"), (1775, 2220, "decoded in"), (1775, 2219, "streamed")],
)
def test_the_choice_is_made_by_size(tmp_path, monkeypatch, capsys, on_device, free, expected):
    """74 images of 24 bytes are 1776, four fifths of 2220."""
    monkeypatch.setattr(storage, "device_share", lambda: on_device)
    monkeypatch.setattr(storage, "_free_bytes", lambda folder: free)
    open_images(records(), Storage(folder=str(tmp_path)), DequantizeAndFlip())
    assert expected in capsys.readouterr().err


def test_a_quarter_of_the_device_and_the_disk_of_the_folder(monkeypatch, tmp_path):
    class Device:
        def memory_stats(self):
            return {"bytes_limit": 4000}

    assert storage.device_share() == 2 * 2**30
    monkeypatch.setattr(storage.jax, "local_devices", lambda: [Device()])
    assert storage.device_share() == 1000
    assert storage._free_bytes(tmp_path / "not" / "there") > 0


def test_the_folder_is_that_of_caches(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Storage().resolved_folder() == tmp_path / "sde_jax"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert Storage().resolved_folder() == tmp_path / "home" / ".cache" / "sde_jax"
    assert Storage(folder="~/x").resolved_folder() == tmp_path / "home" / "x"


def test_bad_settings():
    with pytest.raises(ValueError, match="`keep` must be one of auto, device, cache, stream: got"):
        Storage(keep="ram")
    with pytest.raises(ValueError, match="`workers` must be at least 1: got workers=0"):
        Storage(workers=0)


@pytest.mark.parametrize(
    ("of", "scaling", "message"),
    [
        ({}, ImageScaling(), "`records` must hold at least one split"),
        (records(), ImageScaling(levels=17), "the 256 levels of images: got 17"),
        (
            {"train": png_records(pictures(2)), "test": png_records(pictures(2, (5, 5, 1)))},
            ImageScaling(),
            "must be of one shape: got {'train'",
        ),
        (
            {**records(), "more": png_records(pictures(2))},
            ImageScaling(),
            "must all have labels, or none: split 'more' has none",
        ),
        (
            {"train": png_records(pictures(0))},
            ImageScaling(),
            "split 'train' has no image that can be read: it has none",
        ),
    ],
)
def test_bad_records(of, scaling, message):
    with pytest.raises(ValueError, match=message):
        open_images(of, Storage(keep="device"), DequantizeAndFlip(scaling=scaling))
