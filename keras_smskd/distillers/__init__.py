"""The index of methods: one line each."""

from keras_smskd.distillers.at import ATDistiller
from keras_smskd.distillers.distiller import Distiller
from keras_smskd.distillers.dkd import DKDDistiller
from keras_smskd.distillers.fitnet import FitNetDistiller
from keras_smskd.distillers.joint import JointDistiller
from keras_smskd.distillers.kd import KDDistiller
from keras_smskd.distillers.rkd import RKDDistiller
from keras_smskd.distillers.sp import SPDistiller

__all__ = [
    "ATDistiller",
    "DKDDistiller",
    "Distiller",
    "FitNetDistiller",
    "JointDistiller",
    "KDDistiller",
    "RKDDistiller",
    "SPDistiller",
]
