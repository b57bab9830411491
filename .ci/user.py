"""What a type checker sees of the installed package: `mypy --config-file= --warn-unused-ignores user.py` (here)."""

from typing import assert_type

import keras_smskd as smskd
from keras_smskd.history import SequentialHistory

assert_type(smskd.SequentialDistiller([smskd.KDDistiller()]).fit(), SequentialHistory)
smskd.Stage(smskd.KDDistiller(), epoch=3)  # type: ignore[arg-type] # A misspelt argument is seen.
