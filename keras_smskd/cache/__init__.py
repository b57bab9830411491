"""What teachers and references know of the training data, computed once and fed with the batches."""

from keras_smskd.cache.cache import Cache, as_cache
from keras_smskd.cache.outputs import Outputs
from keras_smskd.cache.sources import Arrays, Batches

__all__ = ["Arrays", "Batches", "Cache", "Outputs", "as_cache"]
