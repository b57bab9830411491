"""Measurements of keras_smskd: what every number that the documentation states was measured with."""
