"""The search for a plan: which methods, in which order, with which weights. It needs KerasTuner."""

try:
    import keras_tuner  # noqa: F401
except ImportError as error:
    raise ImportError("`keras_smskd.search` needs KerasTuner: `pip install keras-tuner six`.") from error

from keras_smskd.search.plan_search import PlanSearch

__all__ = ["PlanSearch"]
