"""Data sets: their specs, their sources of batches, and their scaling."""

from typing import TYPE_CHECKING

from sde_jax.lazy_names import lazy_names

if TYPE_CHECKING:
    from sde_jax.data.array_data import (
        ArrayData as ArrayData,
        Measurements as Measurements,
        is_images as is_images,
        measurements_of as measurements_of,
        source_of_tables as source_of_tables,
    )
    from sde_jax.data.array_source import ArraySource as ArraySource
    from sde_jax.data.box_scaling import BoxScaling as BoxScaling
    from sde_jax.data.channel_scaling import ChannelScaling as ChannelScaling
    from sde_jax.data.conditions import Conditions as Conditions
    from sde_jax.data.degradation import (
        Degradation as Degradation,
        Grey as Grey,
        Half as Half,
        Smaller as Smaller,
    )
    from sde_jax.data.digits import Digits as Digits
    from sde_jax.data.encoded_records import EncodedRecords as EncodedRecords
    from sde_jax.data.errors import (
        BrokenImageError as BrokenImageError,
        DataNotFoundError as DataNotFoundError,
        MixedSizesError as MixedSizesError,
    )
    from sde_jax.data.folder import Folder as Folder
    from sde_jax.data.gaussian_field import GaussianField as GaussianField
    from sde_jax.data.measuring import ScalingName as ScalingName
    from sde_jax.data.number_file import NumberFile as NumberFile
    from sde_jax.data.picture_files import open_files as open_files
    from sde_jax.data.preprocessing import Preprocessing as Preprocessing
    from sde_jax.data.rows import DeviceRows as DeviceRows
    from sde_jax.data.scaling import (
        ImageScaling as ImageScaling,
        PointScaling as PointScaling,
        Scaling as Scaling,
    )
    from sde_jax.data.shards import Shards as Shards
    from sde_jax.data.simulator import Simulator as Simulator
    from sde_jax.data.simulators import (
        SLCP as SLCP,
        GaussianLinearUniform as GaussianLinearUniform,
        GaussianMixtureMean as GaussianMixtureMean,
        TwoMoons as TwoMoons,
    )
    from sde_jax.data.sklearn_table import BreastCancer as BreastCancer
    from sde_jax.data.source import (
        ENDLESS as ENDLESS,
        Batch as Batch,
        DataSource as DataSource,
        DataSpec as DataSpec,
        Layout as Layout,
        check_request as check_request,
    )
    from sde_jax.data.splits import TEST as TEST, TRAIN as TRAIN
    from sde_jax.data.storage import Storage as Storage
    from sde_jax.data.stored_images import StoredImages as StoredImages
    from sde_jax.data.synthetic import (
        Checkerboard as Checkerboard,
        Distribution as Distribution,
        GaussianMixture as GaussianMixture,
        Ring as Ring,
        SwissRoll as SwissRoll,
    )
    from sde_jax.data.tables import (
        Table as Table,
        read_table as read_table,
        table_of as table_of,
    )
    from sde_jax.data.tfds import TfdsImages as TfdsImages
    from sde_jax.data.transform import Dequantize as Dequantize
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
