"""Callbacks for distillers, one file each."""

from keras_smskd.callbacks.adaptive_reference_weight import AdaptiveReferenceWeight
from keras_smskd.callbacks.distillation_tensorboard import DistillationTensorBoard
from keras_smskd.callbacks.forgetting_report import ForgettingReport
from keras_smskd.callbacks.gradient_conflict import GradientConflict

__all__ = ["AdaptiveReferenceWeight", "DistillationTensorBoard", "ForgettingReport", "GradientConflict"]
