import jax
import numpy as np
import pytest
from tiny import untrained

from sde_jax.data import ChannelScaling
from sde_jax.evaluation.features import (
    classifier,
    coordinates,
    extractor,
    features_of,
    inception,
)
from sde_jax.interop.errors import CheckpointFileError
from sde_jax.interop.inception import weights_sha256
from sde_jax.recipes.classification import Classification
from sde_jax.runs.trained_run import WrongKindError, open_run_of


@pytest.fixture(scope="module")
def classifier_run(tmp_path_factory):
    return untrained("classifier", tmp_path_factory.mktemp("classifier") / "run")


@pytest.mark.parametrize("count", [1, 5, 8])
def test_partial_batches_give_a_row_for_each_example(count):
    images = np.random.default_rng(0).random((count, 2, 3, 1)).astype(np.float32)
    features, logits = extractor(coordinates((2, 3, 1)), 8)(images)
    np.testing.assert_array_equal(features, images.reshape(count, 6))
    assert logits is None


def test_inception_without_weights_says_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(CheckpointFileError, match="weights inception --from FILE"):
        inception()


def test_a_classifier_is_known_by_its_weights_and_gives_what_its_layers_give(classifier_run):
    network = classifier(classifier_run)
    run = open_run_of(Classification, classifier_run)
    assert (network.name, network.dimension) == ("classifier", 6)
    weights = weights_sha256(run.state.ema_params)
    assert network.identity == {"weights": weights, "precision": "highest"}
    assert weights != weights_sha256(run.state.params)
    images = np.random.default_rng(0).random((5, 8, 8, 1)).astype(np.float32)
    features, logits = extractor(network, 8)(images)
    last = jax.tree.map(np.asarray, run.state.ema_params["Dense_1"])
    np.testing.assert_allclose(logits, features @ last["kernel"] + last["bias"], rtol=1e-4)
    assert features.shape == (5, 6)


def test_a_classifier_refuses_other_examples_and_other_runs(classifier_run, ring_run):
    with pytest.raises(ValueError, match=r"takes examples of shape \(8, 8, 1\): got \(8, 8, 3\)"):
        extractor(classifier(classifier_run), 8)(np.zeros((2, 8, 8, 3), np.float32))
    with pytest.raises(WrongKindError, match="must be the run of a classifier: it is that of the "):
        classifier(ring_run)


def test_coordinates_of_columns_are_compared_in_their_own_deviations():
    scaling = ChannelScaling(centers=(2.0, -1.0), widths=(0.5, 3.0), log=True)
    data = np.random.default_rng(0).gamma(2.0, 4.0, (5, 2)).astype(np.float32)
    features = features_of(coordinates((2,), scaling), data).features
    np.testing.assert_allclose(features, (np.log(data) - [2, -1]) / [0.5, 3], rtol=1e-5)
