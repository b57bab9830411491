"""Event files of TensorBoard, written with the `tensorboard` package alone."""

import hashlib
import os
import time
from typing import Any

import numpy as np

from keras_smskd.checks import check_installed
from keras_smskd.replicas import replicas


def require(callback: str) -> None:
    """Raises unless the `tensorboard` package is installed, which a callback needs."""
    check_installed("tensorboard", callback)


class EventFile:
    """One event file in `directory`, opened at the first write; of several processes the first one has it."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._writer: Any = None

    def write(self, summary: Any, step: int = 0) -> None:
        """Appends a summary."""
        if not replicas().is_first:
            return
        from tensorboard.compat.proto.event_pb2 import Event  # noqa: PLC0415
        from tensorboard.summary.writer.event_file_writer import EventFileWriter  # noqa: PLC0415

        if self._writer is None:
            os.makedirs(self.directory, exist_ok=True)
            self._writer = EventFileWriter(self.directory)
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))

    def flush(self) -> None:
        """Makes what was written readable to others."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Closes the file; a later write opens another one."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def scalar(tag: str, value: float) -> Any:
    """A number."""
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb  # noqa: PLC0415

    return scalar_pb(tag, value)


def text(tag: str, value: str) -> Any:
    """A text in Markdown."""
    from tensorboard.plugins.text.summary_v2 import text_pb  # noqa: PLC0415

    return text_pb(tag, value)


def histogram(tag: str, table: np.ndarray) -> Any:
    """A histogram, from rows of left edge, right edge and count."""
    from tensorboard.plugins.histogram.metadata import create_summary_metadata  # noqa: PLC0415

    return _tensor(tag, table.astype("float64"), create_summary_metadata(display_name=None, description=None))


def image(tag: str, png: bytes) -> Any:
    """An image."""
    from tensorboard.compat.proto.summary_pb2 import Summary  # noqa: PLC0415

    width, height = (
        int.from_bytes(png[at : at + 4], "big") for at in (16, 20)
    )  # As the header of the format has them.
    summary = Summary()
    summary.value.add(tag=tag).image.MergeFrom(
        Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=png)
    )
    return summary


def hparams(values: dict[str, Any], name: str) -> Any:
    """The hyperparameters of a run; runs of the same name and the same values are one trial."""
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb  # noqa: PLC0415

    digest = hashlib.sha256(repr(sorted(values.items())).encode()).hexdigest()
    return hparams_pb(values, trial_id=f"{name} {digest[:6]}")


def layout(charts: dict[str, list[str]]) -> Any:
    """The custom-scalars page: charts by title, each with the patterns of its tags."""
    from tensorboard.plugins.custom_scalar import layout_pb2, metadata  # noqa: PLC0415

    proto = layout_pb2.Layout(
        category=[
            layout_pb2.Category(
                title="Distillation",
                chart=[
                    layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=tags))
                    for title, tags in charts.items()
                ],
            )
        ]
    )
    content = np.array(proto.SerializeToString(), dtype=object)
    return _tensor(metadata.CONFIG_SUMMARY_TAG, content, metadata.create_summary_metadata())


def _tensor(tag: str, value: np.ndarray, metadata: Any) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary  # noqa: PLC0415
    from tensorboard.util.tensor_util import make_tensor_proto  # noqa: PLC0415

    summary = Summary()
    summary.value.add(tag=tag, tensor=make_tensor_proto(value), metadata=metadata)
    return summary
