import itertools

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sde_jax.data import ArraySource, ImageScaling, shuffle
from sde_jax.data.source import _batch

TRAIN, TEST = 50, 21


@pytest.fixture
def source():
    """Image ``i`` of a split has ``i`` in its first pixel, so that one can tell who is who."""

    def images(count, seed):
        pixels = np.random.default_rng(seed).integers(0, 200, (count, 4, 6, 1), dtype=np.uint8)
        pixels[:, 0, 0, 0] = np.arange(count)
        return pixels

    return ArraySource(
        {"train": images(TRAIN, 0), "test": images(TEST, 1)},
        {"train": np.arange(TRAIN) * 3, "test": np.arange(TEST) * 5},
        scaling=ImageScaling(levels=200),
    )


def sharding(devices, *, explicit=False):
    if explicit:
        mesh = jax.make_mesh((devices,), ("data",))
    else:
        mesh = Mesh(np.array(jax.devices()[:devices]), ("data",))
    return NamedSharding(mesh, PartitionSpec("data"))


def levels(source, batch):
    return np.asarray(source.scaling.to_levels(batch.x))


def who(source, batch):
    return levels(source, batch)[:, 0, 0, 0]


def take(iterator, count):
    return list(itertools.islice(iterator, count))


def test_only_the_stream_can_be_without_noise(source, key):
    plain = ArraySource(source.images, scaling=source.scaling, dequantize=False)
    (streamed,), (noisy,) = (take(which.stream(key, "train", 10), 1) for which in (plain, source))
    np.testing.assert_allclose(streamed.x, source.scaling.place(levels(source, noisy)), atol=1e-6)
    for ours, theirs in zip(
        plain.batches(key, "test", 10), source.batches(key, "test", 10), strict=True
    ):
        np.testing.assert_array_equal(ours.x, theirs.x)


@pytest.mark.parametrize(
    "batch_size",
    [7, 120, *(pytest.param(size, marks=pytest.mark.slow) for size in (10, 50))],
)
def test_every_example_once_in_each_epoch(source, key, batch_size):
    epochs = 3
    batches = take(source.stream(key, "train", batch_size), -(-epochs * TRAIN // batch_size))
    seen = np.concatenate([who(source, batch) for batch in batches])[: epochs * TRAIN]
    orders = seen.reshape(epochs, TRAIN)
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(TRAIN), (epochs, 1)))
    assert len({tuple(order) for order in orders}) == epochs, "every epoch had the same order"


def test_images_and_labels_are_those_of_the_data(source, key):
    for batch in take(source.stream(key, "train", 16), 4):
        examples = who(source, batch)
        np.testing.assert_array_equal(levels(source, batch), source.images["train"][examples])
        np.testing.assert_array_equal(batch.label, examples * 3)
        assert batch.x.shape == (16, *source.shape) and batch.label.dtype == np.int32


def test_start_equals_skipping(source, key):
    unbroken = take(source.stream(key, "train", 16), 9)
    resumed = take(source.stream(key, "train", 16, start=5), 4)
    for a, b in zip(unbroken[5:], resumed, strict=True):
        np.testing.assert_array_equal(a.x, b.x)
        np.testing.assert_array_equal(a.label, b.label)


def test_a_far_start_costs_no_more_than_two_epochs(source, key, monkeypatch):
    made = []

    def counting(bits):
        made.append(bits)
        return np.random.Generator(bits)

    monkeypatch.setattr(shuffle, "Generator", counting)
    next(source.stream(key, "train", 16, start=10**7))
    assert 1 <= len(made) <= 2


def test_noise_is_fresh_in_each_slot_batch_and_key(source, key):
    first, second = take(source.stream(key, "train", TRAIN), 2)
    other = next(source.stream(jax.random.fold_in(key, 1), "train", TRAIN))
    noise = [
        np.asarray(batch.x + 1) * 100 - levels(source, batch) for batch in (first, second, other)
    ]
    flat = np.stack(noise).reshape(3 * TRAIN, -1)
    assert flat.min() >= 0 and flat.max() <= 1
    # Uniform numbers that are independent lie within 1e-3 of each other with probability 2e-3.
    close = np.abs(flat[:, None] - flat[None]).max(axis=-1) < 1e-3
    np.testing.assert_array_equal(close, np.eye(3 * TRAIN, dtype=bool))
    assert not np.array_equal(who(source, first), who(source, other))


@pytest.mark.parametrize("explicit", [False, True])
def test_one_and_eight_devices_give_the_same(source, key, explicit):
    eight = sharding(8, explicit=explicit)
    for method in (source.stream, source.batches):
        ones = take(method(key, "test", 16), 3)
        eights = take(method(key, "test", 16, sharding=eight), 3)
        for one, many in zip(ones, eights, strict=True):
            assert len(many.x.sharding.device_set) == 8
            assert many.x.sharding.is_fully_replicated == (len(many.x) == TEST - 16)
            np.testing.assert_array_equal(one.x, many.x)
            np.testing.assert_array_equal(one.label, many.label)


def test_ordered_pass_is_complete_and_ends(source, key):
    batches = list(source.batches(key, "test", 8))
    assert [len(batch.x) for batch in batches] == [8, 8, 5]
    np.testing.assert_array_equal(
        np.concatenate([levels(source, batch) for batch in batches]), source.images["test"]
    )
    assert [len(b.x) for b in source.batches(key, "test", 8, count=10)] == [8, 2]
    assert [len(b.x) for b in source.batches(key, "test", 100, count=10**6)] == [TEST]


def test_ordered_pass_does_not_depend_on_the_batch_size(source, key):
    wholes = [
        np.concatenate([batch.x for batch in source.batches(key, "test", size)])
        for size in (1, 8, 21)
    ]
    np.testing.assert_array_equal(wholes[0], wholes[1])
    np.testing.assert_array_equal(wholes[0], wholes[2])


def test_flip_mirrors_half_of_the_stream_and_none_of_the_pass(source, key):
    flipping = ArraySource(source.images, source.labels, scaling=source.scaling, flip=True)
    batch = next(flipping.stream(key, "train", 2000))
    originals = source.images["train"][np.asarray(batch.label) // 3]
    seen = levels(source, batch)
    same = (seen == originals).all(axis=(1, 2, 3))
    mirrored = (seen == originals[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert abs(mirrored.mean() - 0.5) < 5 * 0.5 / np.sqrt(2000)
    for plain, other in zip(
        source.batches(key, "test", 21), flipping.batches(key, "test", 21), strict=True
    ):
        np.testing.assert_array_equal(plain.x, other.x)


def test_compiled_once_for_each_shape(source, key):
    before = _batch._cache_size()
    take(source.stream(key, "train", 13), 5)
    take(source.stream(jax.random.fold_in(key, 1), "train", 13, start=3), 2)
    assert _batch._cache_size() == before + 1


def test_without_labels(source, key):
    assert next(ArraySource(source.images).stream(key, "train", 4)).label is None


def image(count=3, side=4, dtype=np.uint8, value=0):
    return np.full((count, side, side, 1), value, dtype)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": {}}, "`images` must hold at least one split: got none"),
        ({"images": {"train": image(dtype=np.float32)}}, "split 'train' is float32"),
        ({"images": {"train": image()[..., 0]}}, r"split 'train' is uint8 \(3, 4, 4\)"),
        ({"images": {"train": image(), "test": image(side=5)}}, "of one shape: split 'test'"),
        ({"images": {"train": image(count=0)}}, "must not be empty: split 'train' is"),
        (
            {"images": {"train": image(value=17)}, "scaling": ImageScaling(levels=17)},
            "must lie below levels=17: split 'train' has 17",
        ),
        (
            {"images": {"train": image()}, "labels": {"train": np.zeros(4, int)}},
            r"one entry for each of 3 images: split 'train' has shape \(4,\)",
        ),
    ],
)
def test_bad_arrays(arguments, message):
    with pytest.raises(ValueError, match=message):
        ArraySource(**arguments)


def test_bad_requests(source, key):
    with pytest.raises(ValueError, match="`split` must be one of train, test: got 'valid'"):
        source.batches(key, "valid", 8)
    with pytest.raises(ValueError, match="`batch_size` must be at least 1: got 0"):
        source.stream(key, "train", 0)
