"""Tests of statistics of data: against numpy on the data, and what they are kept under."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import PIL.Image
import pytest

from sde_jax.data import ArraySource, DataSpec, Digits, Folder, Ring, Storage, TfdsImages
from sde_jax.evaluation import reference as module
from sde_jax.evaluation.features import Extracted, FeatureNetwork, coordinates
from sde_jax.evaluation.reference import compute_reference, read_statistics
from sde_jax.interop.statistics_file import StatisticsFileError, write_reference

ROOT = pathlib.Path(__file__).parents[2]
PIXELS = coordinates((8, 8, 1))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sde_jax" / "statistics"


def of(network, data, split, **options):
    return compute_reference(network, data, split, **options)


def doubling(identity, dimension=64):
    """A classifier: twice the data are the features, their first three numbers the logits."""

    def extract(params, data):
        rows = data.reshape(len(data), -1)
        return Extracted(2 * rows, rows[:, :3])

    return FeatureNetwork("doubling", identity, dimension, {}, extract)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Own(DataSpec):
    """Random images: as many, of this seed, mirrored in training or not."""

    seed: int = 0
    flip: bool = False

    def load(self):
        images = np.random.default_rng(self.seed).integers(0, 256, (20, 2, 2, 1), np.uint8)
        return ArraySource({"train": images, "test": images[:7]}, flip=self.flip)


@pytest.mark.parametrize(("split", "count"), [("train", None), ("test", None), ("train", 1003)])
def test_statistics_are_those_of_the_exact_levels_of_all_examples(split, count):
    from sklearn.datasets import load_digits

    digits = load_digits()
    part = (slice(1500) if split == "train" else slice(1500, None)), slice(count)
    rows = np.float32(digits.data[part[0]][part[1]] / 16)
    found = of(doubling({}), Digits(), split, count=count, batch_size=100)
    assert found.gaussian.count == len(rows) == found.identity["count"]
    np.testing.assert_allclose(found.gaussian.mean, 2 * rows.mean(axis=0, dtype=float), rtol=1e-12)
    covariance = 4 * np.cov(rows.astype(float), rowvar=False)
    np.testing.assert_allclose(found.gaussian.covariance, covariance, rtol=1e-9, atol=1e-14)
    assert [group.count for group in found.gaussian.groups] == [len(rows[g::10]) for g in range(10)]
    np.testing.assert_array_equal(found.features, 2 * rows)
    np.testing.assert_array_equal(found.logits, rows[:, :3])
    np.testing.assert_array_equal(found.labels, digits.target[part[0]][part[1]])


def test_of_many_examples_the_first_features_are_kept(monkeypatch):
    monkeypatch.setattr(module, "KEPT", 30)
    found = of(doubling({}), Digits(), "test", batch_size=8)
    whole = of(PIXELS, Digits(), "test")
    np.testing.assert_array_equal(found.features, 2 * whole.features[:30])
    assert found.logits.shape == (30, 3)
    assert (found.gaussian.count, len(found.labels)) == (297, 297)


def hold_same(first, second):
    assert first.identity == second.identity
    for one, other in zip(jax.tree.leaves(vars(first)), jax.tree.leaves(vars(second)), strict=True):
        if not isinstance(one, module.FittedGaussian):
            np.testing.assert_array_equal(one, other)
    for one, other in zip(first.gaussian.groups, second.gaussian.groups, strict=True):
        np.testing.assert_array_equal(one.scatter, other.scatter)
    np.testing.assert_array_equal(first.gaussian.covariance, second.gaussian.covariance)


def test_what_is_cached_is_the_same_and_damage_is_mended(cache, capsys, monkeypatch):
    first = of(doubling({}), Digits(), "test")
    capsys.readouterr()
    (file,) = cache.glob("*.npz")
    whole = file.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(module, "gather", None)
        hold_same(of(doubling({}), Digits(), "test"), first)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for damaged in (whole[:-9], b"", bytes(flipped)):
        file.write_bytes(damaged)
        hold_same(of(doubling({}), Digits(), "test"), first)
        (line,) = (x for x in capsys.readouterr().err.splitlines() if x.startswith("warning"))
        assert str(file) in line
        assert line.endswith("They are computed again.")
        assert file.read_bytes() == whole


def kept_under(data, split="train", network=None, count=None):
    """The name of the file in the cache."""
    source = data.load()
    network = coordinates(source.shape) if network is None else network
    used = module.examples_used(source, split, count)
    identity = module.identity_of(network, data, source, split, used)
    return module.cached_statistics(identity, data, split).name


def test_each_thing_that_statistics_hang_on_is_in_the_name():
    small = doubling({"weights": "ab"}, 4)
    names = [
        kept_under(Own()),
        kept_under(Own(), "test"),
        kept_under(Own(), count=7),
        kept_under(Own(seed=1)),
        kept_under(Own(), network=small),
        kept_under(Own(), network=doubling({"weights": "ac"}, 4)),
        kept_under(Own(), network=doubling({"weights": "ab", "preprocessing": "x"}, 4)),
    ]
    assert len(set(names)) == len(names)
    assert kept_under(Own(flip=True)) == names[0]
    assert kept_under(Own(), count=1000) == names[0]


def test_other_examples_of_an_equal_spec_are_other_data(monkeypatch):
    before = kept_under(Own())
    images = np.random.default_rng(0).integers(0, 256, (20, 2, 2, 1), np.uint8)
    images[-1] += 1
    monkeypatch.setattr(Own, "load", lambda self: ArraySource({"train": images}))
    assert kept_under(Own()) != before


def test_where_pictures_are_does_not_matter_but_what_they_are(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for level in range(8):
        PIL.Image.new("L", (6, 6), 30 * level).save(folder / f"{level}.png")
    spec = Folder(path=str(folder), image_size=4, storage=Storage(keep="device"))
    name = kept_under(spec)
    moved = dataclasses.replace(spec, path=str(folder.rename(tmp_path / "moved")))
    assert kept_under(moved) == name
    changes = {"flip": True, "centered": False, "dequantize": False, "storage": Storage()}
    for field, value in changes.items():
        assert kept_under(dataclasses.replace(moved, **{field: value})) == name, field
    for field, value in {"image_size": 5, "grey": True, "held_out": 0.3, "crop_size": 3}.items():
        assert kept_under(dataclasses.replace(moved, **{field: value})) != name, field
    PIL.Image.new("L", (6, 6), 1).save(tmp_path / "moved" / "7.png")
    assert kept_under(moved) != name


def test_a_split_is_what_it_is_made_of(shared):
    data_dir = str(shared / "data" / "tfds")
    splits = {"train_split": "test[9:20]", "test_split": "test[:9]"}
    data = TfdsImages(name="mnist", data_dir=data_dir, **splits)
    as_train = dataclasses.replace(data, train_split="test[:9]", test_split="test[9:]")
    network = coordinates((28, 28, 1))
    first = of(network, data, "test")
    hold_same(read_from_file(first, network, as_train, "train"), first)


def read_from_file(found, network, data, split, **options):
    path = module.cache_folder() / "shared.npz"
    write_reference(path, found)
    return read_statistics(path, network, data, split, **options)


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("data` must be Digits: got Own", {"data": Digits()}),
        ("data.seed` must be 2: got 0", {"data": Own(seed=2)}),
        ("count` must be 5: got 20", {"count": 5}),
        ("count` must be 7: got 20", {"split": "test"}),
        ("features` must be coordinates: got doubling", {"network": coordinates((2, 2, 1))}),
        ("features.weights` must be ac: got ab", {"network": doubling({"weights": "ac"}, 4)}),
    ],
)
def test_a_mismatch_names_the_field(field, options):
    options = {"network": doubling({"weights": "ab"}, 4), "data": Own(), "split": "train"} | options
    found = of(doubling({"weights": "ab"}, 4), Own(), "train")
    if options["split"] == "test":
        field = "split` must be test: got train"
    with pytest.raises(StatisticsFileError, match=f"shared.npz: .*`{field}"):
        read_from_file(found, **options)


def test_published_statistics_must_be_of_inception_and_of_its_dimension(tmp_path):
    path = tmp_path / "cifar10.npz"
    np.savez(path, pool_3=np.random.default_rng(0).normal(size=(12, 4)))
    network = FeatureNetwork("inception", {"weights": "any"}, 4, {}, None)
    assert read_statistics(path, network, Own(), "train").gaussian.count == 12
    with pytest.raises(StatisticsFileError, match="`features` must be coordinates: got inception"):
        read_statistics(path, coordinates((2, 2, 1)), Own(), "train")
    with pytest.raises(StatisticsFileError, match="`features.dimension` must be 2048: got 4"):
        read_statistics(path, dataclasses.replace(network, dimension=2048), Own(), "train")


def test_points_are_drawn_without_end():
    network = coordinates((2,))
    with pytest.raises(ValueError, match="`count` must be stated: split 'train' is endless"):
        of(network, Ring(), "train")
    found = of(network, Ring(), "test")
    assert found.gaussian.count == 10_000
    variance = (Ring().radius ** 2 + Ring().deviation ** 2) / 2
    np.testing.assert_allclose(np.diag(found.gaussian.covariance), variance, rtol=0.03)
    assert found.labels is None
    assert found.logits is None


def test_what_is_refused():
    with pytest.raises(ValueError, match="`split` must be one of train, test: got 'validation'"):
        of(PIXELS, Digits(), "validation")
    with pytest.raises(ValueError, match="`count` must be at least 2, for a covariance: got 1"):
        of(PIXELS, Digits(), "test", count=1)


MEMORY = """
import resource, sys
import numpy as np
from sde_jax.evaluation.features import Extracted
from sde_jax.evaluation.reference import gather
from sde_jax.interop.statistics_file import Reference, read_reference, write_reference

generator = np.random.default_rng(0)
def batches():
    for _ in range(100):
        features = generator.standard_normal((500, 2048), np.float32)
        yield Extracted(features, features[:, :1008])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
before = peak()
gathered = gather(batches(), 2048)
assert gathered.gaussian.count == 50_000
write_reference(sys.argv[1], Reference({}, *gathered, None))
after = peak()
del gathered
read = read_reference(sys.argv[1])
assert read.gaussian.count == 50_000
print(before, after, peak())
"""


@pytest.mark.slow("test_statistics_are_those_of_the_exact_levels_of_all_examples")
def test_fifty_thousand_examples_of_2048_features_stay_under_two_gibibytes(tmp_path):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT), "XLA_FLAGS": ""}
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "statistics.npz")]
    process = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    before, written, read = map(float, process.stdout.split())
    assert written - before < 2
    assert read - before < 2
