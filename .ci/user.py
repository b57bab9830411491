"""What a type checker sees of the installed package: `mypy --config-file= user.py`, in this folder."""

from typing import assert_type

import keras_smskd as smskd
from keras_smskd.history import SequentialHistory

assert_type(smskd.SequentialDistiller([smskd.KDDistiller()]).fit(), SequentialHistory)
