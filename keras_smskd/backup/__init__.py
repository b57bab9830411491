"""Runs through stages that survive the end of their process."""

from keras_smskd.backup.arguments import check_backup, check_resume
from keras_smskd.backup.backup import Backup
from keras_smskd.backup.checkpoint import Checkpoint
from keras_smskd.backup.description import description, description_of_fit
from keras_smskd.backup.run import Run

__all__ = ["Backup", "Checkpoint", "Run", "check_backup", "check_resume", "description", "description_of_fit"]
