"""Writes the tables of docs/performance.md, and the plot in it, from what the benchmarks measured.

python docs/make_performance.py           writes both; the plot needs matplotlib
python docs/make_performance.py --check   fails if the tables are not up to date
"""

import json
from collections.abc import Sequence
from statistics import mean, median, stdev
from typing import Any

from pages import ROOT, table, write_or_check

PAGE, PLOT = ROOT / "docs" / "performance.md", ROOT / "docs" / "scaling.png"
BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}


def results(script: str) -> dict[str, Any]:
    """What a benchmark measured, by place."""
    file = ROOT / "benchmarks" / f"{script}.json"
    return json.loads(file.read_text()) if file.exists() else {}


def rows_of(script: str, place: str) -> dict[str, dict[str, float]]:
    """The rows that a benchmark measured at a place."""
    return results(script).get(place, {}).get("rows", {})


def number(row: dict[str, float] | None, key: str) -> str:
    """A ratio and its spread."""
    if not row or key not in row:
        return ""
    spread = row.get(f"{key} spread")
    return f"{row[key]:.2f}" + (f" ({spread:.2f})" if spread else "")


def by_backend(script: str, names: Sequence[str], key: str, title: str) -> str:
    """A table of one key, a column for each backend."""
    places = {place: rows_of(script, place) for place in BACKENDS}
    head = [title, *(BACKENDS[place] for place in places)]
    return table(head, ([name.strip("()"), *(number(places[p].get(name), key) for p in places)] for name in names))


def names_of(script: str) -> list[str]:
    """All rows that were measured on a processor, in order."""
    return list(dict.fromkeys(name for place in BACKENDS for name in rows_of(script, place)))


def methods() -> list[str]:
    """The methods whose step was measured against its ideal."""
    return sorted(name for name in names_of("step_cost") if not name.startswith("("))


def ideal() -> str:
    """How near to its ideal step every method comes."""
    return by_backend("step_cost", methods(), "of ideal, processor", "Method / its ideal step")


def summary_of_ideal() -> str:
    """The middle and the worst of all methods."""
    lines = []
    for place, backend in BACKENDS.items():
        rows = rows_of("step_cost", place)
        costs = sorted(row["of ideal, processor"] for row in rows.values() if "of ideal, processor" in row)
        near = sum(cost <= 1.03 for cost in costs)
        lines.append([backend, len(costs), f"{median(costs):.3f}", near, f"{costs[-1]:.2f}"] if costs else [backend])
    return table(["Backend", "Methods measured", "Median", "At most 1.03", "Worst"], lines)


def made_of() -> str:
    """What a step is made of."""
    names = [name for name in names_of("step_cost") if name.startswith("(")]
    return by_backend("step_cost", names, "of student alone, processor", "Step / student alone")


def cache() -> str:
    """Online and cached."""
    names = [name for name in names_of("cache") if name != "alone"]
    return by_backend("cache", names, "processor", "Epoch or run / student alone")


def peers() -> str:
    """Other packages."""
    names = [name for name in names_of("peers") if ":" in name]
    return by_backend("peers", names, "of student alone, processor", "Step / student alone")


def peers_of_ideal() -> str:
    """Other packages, relative to the ideal step."""
    names = [name for name in names_of("peers") if ": keras" in name]
    return by_backend("peers", names, "of ideal, processor", "Step / ideal step")


def views() -> str:
    """Mean and deviation of the accuracy over seeds."""
    lines = []
    rows = {name: row for place in results("views") for name, row in rows_of("views", place).items()}
    for kind in dict.fromkeys(name.split(",")[0] for name in rows if ", seed" in name):
        accuracies = [row["accuracy"] for name, row in rows.items() if name.startswith(f"{kind}, ")]
        what = {"alone": "student alone, new views", "online": "KD online, new views", "0": "KD cached, no views"}
        title = what.get(kind, f"KD cached, {kind} view{'s' * (kind != '1')}")
        seconds = [row["seconds"] for name, row in rows.items() if name.startswith(f"{kind}, ")]
        accuracy = f"{mean(accuracies):.2f} ({stdev(accuracies):.2f})"
        lines.append([title, accuracy, f"{median(seconds):.0f}", len(accuracies)])
    return table(["Run", "Accuracy (deviation)", "Seconds", "Seeds"], lines)


def waste() -> str:
    """What a first step and logging cost, and what stages leave behind."""
    lines = []
    for place, backend in BACKENDS.items():
        rows = rows_of("waste", place)
        points = ("stage 1", "stage 2", "stage 10", "stage 20", "alone 1", "alone 10")
        memory = [f"{rows[point]['megabytes']:.0f}" if point in rows else "" for point in points]
        ratios = [number(rows.get(name), "processor") for name in ("first step", "logging")]
        lines.append([backend, *ratios, *memory])
    head = [f"MB, {what}" for what in ("stage 1", "2", "10", "20", "alone, first", "tenth")]
    return table(["Backend", "First step, arrays / generator", "Logging on / off", *head], lines)


def on_gpu() -> str:
    """Absolute times on a GPU."""
    lines = []
    for script in ("step_cost", "peers", "cache"):
        for place in results(script):
            for name, row in rows_of(script, place).items() if "," in place else ():
                if script != "step_cost" or "(" in name:
                    of_alone = number(row, "clock") or number(row, "of student alone, clock")
                    times = [f"{row['milliseconds']:.2f}" if "milliseconds" in row else "", of_alone]
                    lines.append([script, place.split(",")[0], name.strip("()"), *times])
    return table(["Benchmark", "Backend", "What", "Milliseconds of a step", "Of student alone, clock"], lines)


def machines() -> str:
    """Where all of it was measured."""
    measured = {
        (place, entry.get("machine", ""), ", ".join(map(" ".join, entry.get("versions", {}).items())))
        for script in ("step_cost", "cache", "peers", "scaling", "views", "waste")
        for place, entry in results(script).items()
    }
    return table(["Place", "Machine", "Versions"], sorted(measured))


TABLES = (ideal, summary_of_ideal, made_of, cache, peers, peers_of_ideal, views, waste, on_gpu, machines)


def draw() -> None:
    """Draws the scaling of a step."""
    import matplotlib  # noqa: PLC0415

    matplotlib.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    questions = {"batch size": "samples of a batch", "width": "student's width, times 16-16-32-64",
                 "taps": "layers read by AT", "stages": "stages", "classes": "classes"}  # fmt: skip
    figure, axes = pyplot.subplots(2, 3, figsize=(13, 7), layout="constrained")
    for axis, (question, label) in zip(axes.flat, questions.items(), strict=False):
        for place, style in zip(BACKENDS, ("-", "--", ":"), strict=True):
            points: dict[str, list[tuple[int, float]]] = {}
            for name, row in rows_of("scaling", place).items():
                if name.startswith(question + " ") and not name.endswith(": alone"):
                    value, run = name.removeprefix(question).split(": ")
                    points.setdefault(run, []).append((int(value), row["processor"]))
            for index, (run, pairs) in enumerate(points.items()):
                label_of_run = f"{run}, {BACKENDS[place]}"
                axis.plot(*zip(*sorted(pairs), strict=True), f"o{style}", color=f"C{index}", label=label_of_run)
        axis.set(xlabel=label, ylabel="step / student alone", ylim=(0, None))
        if question in ("batch size", "classes"):
            axis.set_xscale("log", base=2 if question == "batch size" else 10)
        if question != "batch size":
            axis.legend(fontsize=7)
    axes.flat[-1].axis("off")
    axes.flat[-1].legend(*axes.flat[0].get_legend_handles_labels(), title="Batch sizes", fontsize=8, loc="upper left")
    figure.savefig(PLOT, dpi=90)


if __name__ == "__main__":
    write_or_check(PAGE, TABLES, draw)
