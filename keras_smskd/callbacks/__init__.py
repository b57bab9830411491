"""Callbacks for distillers, one file each."""

from keras_smskd.callbacks.adaptive_reference_weight import AdaptiveReferenceWeight
from keras_smskd.callbacks.distillation_tensorboard import DistillationTensorBoard

__all__ = ["AdaptiveReferenceWeight", "DistillationTensorBoard"]
