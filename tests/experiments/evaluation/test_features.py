import numpy as np
import pytest

from experiments.evaluation.features import coordinates, extractor, inception
from sde_jax.interop.errors import CheckpointFileError
from sde_jax.training.devices import data_mesh


@pytest.mark.parametrize("count", [1, 5, 8])
def test_partial_batches_give_a_row_for_each_example(count):
    images = np.random.default_rng(0).random((count, 2, 3, 1)).astype(np.float32)
    features, logits = extractor(coordinates((2, 3, 1)), data_mesh(), 8)(images)
    np.testing.assert_array_equal(features, images.reshape(count, 6))
    assert logits is None


def test_inception_without_weights_says_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(CheckpointFileError, match="weights inception --from FILE"):
        inception()
