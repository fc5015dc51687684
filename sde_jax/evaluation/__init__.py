"""Measurement of runs: features, metrics, reports and comparisons."""

from typing import TYPE_CHECKING

from sde_jax.lazy_names import lazy_names

if TYPE_CHECKING:
    from sde_jax.evaluation.accuracy import held_out_accuracy as held_out_accuracy
    from sde_jax.evaluation.comparison import draw_values as draw_values, newest as newest
    from sde_jax.evaluation.evaluation import evaluate as evaluate
    from sde_jax.evaluation.examples import read_examples as read_examples
    from sde_jax.evaluation.features import (
        FeatureNetwork as FeatureNetwork,
        classifier as classifier,
        coordinates as coordinates,
        features_of as features_of,
    )
    from sde_jax.evaluation.findings import plain as plain
    from sde_jax.evaluation.networks import (
        MissingNetworkError as MissingNetworkError,
        network as network,
    )
    from sde_jax.evaluation.reference import (
        compute_reference as compute_reference,
        describe as describe,
    )
    from sde_jax.evaluation.task import Drawn as Drawn, usual_task as usual_task
    from sde_jax.evaluation.wording import (
        WORDING as WORDING,
        markdown_table as markdown_table,
        with_error as with_error,
    )
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
