"""Heat maps of what a student has forgotten, drawn with the `matplotlib` package."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_smskd.checks import check_installed

DARK = 0.7  # Changes from which on the colour of a cell is too dark for black text.


def require() -> None:
    """Raises unless the `matplotlib` package is installed."""
    check_installed("matplotlib", "ForgettingReport")


def heat_map(matrix: np.ndarray, changes: np.ndarray, stages: Sequence[str]) -> Any:
    """A figure of a matrix, coloured by its changes: blue for less, red for more, the full colour from 100 % on.

    Args:
        matrix: The values, `(finished stages, stages)`.
        changes: The relative changes, of the same shape; NaN has no colour.
        stages: Names of the stages.
    """
    require()
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.ticker import PercentFormatter  # noqa: PLC0415

    rows, columns = matrix.shape
    figure = Figure(figsize=(2.5 + 1.3 * columns, 1.8 + 0.7 * rows), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(changes, cmap="coolwarm", vmin=-1.0, vmax=1.0, aspect="auto")
    names = [f"{index + 1} {name}" for index, name in enumerate(stages)]
    axes.set_xticks(range(columns), names)
    axes.set_yticks(range(rows), names[:rows])
    axes.set(xlabel="objective of stage", ylabel="after stage")
    for row, column in np.ndindex(matrix.shape):
        change = changes[row, column]
        color = "white" if abs(change) > DARK else "black"
        axes.text(column, row, _cell(matrix[row, column], change), ha="center", va="center", color=color)
    figure.colorbar(image, extend="both", format=PercentFormatter(1.0), label="change since the end of its stage")
    return figure


def png(figure: Any) -> bytes:
    """A figure as an image."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def _cell(value: Any, change: Any) -> str:
    return f"{value:.3g}" if np.isnan(change) or not change else f"{value:.3g}\n{change:+.0%}"
