"""What a student reaches in each epoch, and when."""

import time
from typing import Any

import keras


class Clock(keras.callbacks.Callback):
    """Notes for each epoch the accuracy on validation images and the seconds that training took so far.

    Validation does not count. The seconds are those of the processor, which other processes do not change.

    Args:
        student: The student, whose weights of the best epoch are kept.
    """

    def __init__(self, student: keras.Model) -> None:
        super().__init__()
        self.student = student
        self.accuracy: list[float] = []
        self.seconds: list[float] = []
        self.best: list[Any] = []
        self._passed = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._start = time.process_time()

    def on_test_begin(self, logs: Any = None) -> None:
        self._passed += time.process_time() - self._start

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(round(self._passed, 2))
        self.accuracy.append(round(100 * float(logs["val_accuracy"]), 2))
        if self.accuracy[-1] >= max(self.accuracy):
            self.best = self.student.get_weights()
