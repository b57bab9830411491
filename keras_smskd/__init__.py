"""keras_smskd: knowledge distillation in Keras 3, one method after another."""

from keras_smskd import callbacks, distillers
from keras_smskd.cache import Cache
from keras_smskd.distillers import *  # noqa: F403
from keras_smskd.sequential_distiller import SequentialDistiller
from keras_smskd.stage import Stage
from keras_smskd.version import __version__

__all__ = ["Cache", "SequentialDistiller", "Stage", "__version__", "callbacks"]
__all__ += distillers.__all__
