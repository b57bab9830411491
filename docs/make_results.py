"""Writes the tables of docs/results.md, and the plot in it, from the runs of the study.

python docs/make_results.py           writes both; the plot needs matplotlib
python docs/make_results.py --check   fails if the tables are not up to date
"""

import dataclasses
import itertools
import json
import re
import sys
from collections.abc import Iterable, Sequence
from math import isinf, isnan
from statistics import mean, median

from pages import ROOT, table, write_or_check

sys.path.insert(0, str(ROOT))  # `benchmarks` is no installed package.

from benchmarks.study.lists import (  # noqa: E402
    ABLATED,
    DESK,
    EDGES,
    FACTORS,
    JOINT,
    LONGER,
    ORDERS,
    PUBLISHED,
    REFERENCE_TEMPERATURES,
    REFERENCE_WEIGHTS,
    SINGLE,
    STAGES,
    TRIPLES,
    WEIGHTINGS,
)
from benchmarks.study.methods import FACTORS as CHOSEN  # noqa: E402
from benchmarks.study.plan import ALONE, Run  # noqa: E402
from benchmarks.study.protocol import DESK as DESK_PROTOCOL  # noqa: E402
from benchmarks.study.summary import Estimate, Summary, best, test, validation  # noqa: E402

PAGE, PLOT = ROOT / "docs" / "results.md", ROOT / "docs" / "results.png"
RESULTS = ROOT / "benchmarks" / "results"
RUNS = RESULTS / "desk"
JAX, PROCESSOR = Summary(RUNS / "jax_NVIDIA_H200", RUNS / "jax"), Summary(RUNS / "tensorflow")
CHOICE = Summary(RUNS / "tensorflow", seeds=[5])
TIMED = Summary(RUNS / "tensorflow", seeds=[0])  # Of others some shared the processor with other work.
SHORT = Summary(RESULTS / "short" / "jax_NVIDIA_H200")


def line(label: str) -> list[object]:
    """A row of the main table."""
    accuracies = [JAX.accuracy(label), JAX.estimate(label, best).text()]
    return [label, *accuracies, JAX.against(label, ALONE), JAX.against(label, "KD"), len(JAX.rows[label])]


def desk() -> str:
    """All plans at equal epochs."""
    return table(["Plan", "Last epoch", "Best epoch", "To alone", "To KD", "Seeds"], map(line, JAX.done(DESK)))


def pairs() -> str:
    """Two methods jointly and one after another, with and without reference."""
    rows = []
    for plan in [*(run.label for run in JOINT), *ORDERS, *TRIPLES]:
        without = Run(plan, reference_weight=0.0).label
        methods = list(dict.fromkeys(re.split(r" [+>] ", plan)))
        strongest = max(methods, key=lambda method: JAX.estimate(method, test).mean)
        adds = [JAX.accuracy(without), JAX.against(plan, without)]
        rows.append([plan, JAX.accuracy(plan), strongest, JAX.against(plan, strongest), *adds])
    head = [
        "Plan",
        "Test accuracy",
        "Best of its methods",
        "Against it",
        "Without reference",
        "What the reference adds",
    ]
    return table(head, rows)


def times() -> str:
    """What training costs, and how soon it pays."""
    rows = []
    for label in TIMED.done(DESK):
        reached = median(TIMED.times_to_accuracy(label))
        time = "never" if isinf(reached) else f"{reached:.2f}"
        rows.append([label, TIMED.accuracy(label), f"{TIMED.costs(label).mean:.2f}", time])
    return table(["Plan", "Test accuracy", "Time / alone", "Time to alone's accuracy"], rows)


def ablation(name: str, values: Iterable[object]) -> str:
    """The two ablated plans with other values of one option."""
    rows = []
    for value in values:
        labels = [dataclasses.replace(Run(plan), **{name: value}).label for plan in ABLATED]
        rows.append([value, *(cell for label, plan in zip(labels, ABLATED, strict=True) for cell in both(label, plan))])
    head = [cell for plan in ABLATED for cell in (plan, "to the default")]
    return table([name, *head], [row for row in rows if any(row[1:])])


def both(label: str, plan: str) -> list[str]:
    """A validation accuracy, and its difference to the plan with the defaults."""
    if label not in PROCESSOR.rows:
        return ["", ""]
    return [PROCESSOR.estimate(label, validation).text(), PROCESSOR.against(label, plan, validation)]


def weightings() -> str:
    """Which samples the reference holds."""
    return ablation("weighting", ["tcp", *WEIGHTINGS])


def weights() -> str:
    """How strongly the reference holds."""
    return ablation("reference_weight", REFERENCE_WEIGHTS)


def temperatures() -> str:
    """The temperature of the reference loss."""
    return ablation("reference_temperature", sorted([4.0, *REFERENCE_TEMPERATURES]))


def restarts() -> str:
    """What the reference adds where the learning rate begins anew in each stage, and where it does not."""
    rows = []
    for plan in ABLATED:
        for epochs, restart in itertools.product((0, LONGER[0].epochs), (True, False)):
            options = {"restart": restart, "epochs": epochs}
            label, without = (Run(plan, reference_weight=weight, **options).label for weight in (1.0, 0.0))
            accuracies = [PROCESSOR.accuracy(without), PROCESSOR.accuracy(label)]
            adds = PROCESSOR.against(label, without)
            gains = "" if restart else PROCESSOR.against(label, Run(plan, epochs=epochs).label)
            rows.append([plan, epochs or DESK_PROTOCOL.epochs, "yes" if restart else "no", *accuracies, adds, gains])
    head = ["Plan", "Epochs", "Begins anew", "Without reference", "With it", "The reference adds", "To anew, with it"]
    return table(head, [row for row in rows if row[-2]])


def factors() -> str:
    """Validation accuracy of the seed that chose the weights."""
    tried = sorted({*FACTORS, *(float(plan.split(" * ")[0]) for plan in EDGES)})
    rows = []
    for method in SINGLE:
        labels = [f"{factor:g} * {method}" for factor in tried]
        found = [f"{CHOICE.estimate(label, validation).mean:.1f}" if label in CHOICE.rows else "" for label in labels]
        rows.append([method, *found, f"{CHOSEN.get(method, 1.0):g}"])
    return table(["Method", *(f"times {factor:g}" for factor in tried), "Chosen"], rows)


def compared(summary: Summary, runs: Sequence[Run], base: str) -> str:
    """Some plans against one of them."""
    labels = summary.done(runs)
    lines = (
        [label, summary.accuracy(label), summary.against(label, base), len(summary.rows[label])] for label in labels
    )
    return table(["Plan", "Test accuracy", f"To {base}", "Seeds"], lines)


def longer() -> str:
    """Three times the epochs, for the plans that the ablation looks at."""
    return compared(PROCESSOR, LONGER, Run("KD", epochs=LONGER[0].epochs).label)


def published() -> str:
    """The same plans with the published weights."""
    return compared(PROCESSOR, PUBLISHED, "1 * KD")


def short() -> str:
    """The models and images of the field, for few epochs."""
    return compared(SHORT, PUBLISHED, "1 * KD")


def stages() -> str:
    """One to six stages in the same number of epochs."""
    return compared(PROCESSOR, STAGES, "KD")


def forgotten(label: str) -> str:
    """By how much of its value the objective of the first stage rose until the end of the run."""
    rows = [result["forgetting"] for result in JAX.rows[label].values()]
    return Estimate.of([100 * (row[-1][0] - row[0][0]) / abs(row[0][0]) for row in rows]).text("+")


def forgetting() -> str:
    """What the first stage's objective loses in the later ones, with and without the reference."""
    plans = [plan for plan in [*ORDERS, *TRIPLES] if not plan.startswith(("CRD", "VID"))]
    pairs = [(plan, Run(plan, reference_weight=0.0).label) for plan in plans]
    rows = (
        [plan, forgotten(without), forgotten(plan)] for plan, without in pairs if {plan, without} <= JAX.rows.keys()
    )
    return table(["Plan", "Rise without reference, %", "With it, %"], rows)


TERMS = {
    "label and distillation": "cosine_label_distillation",
    "distillation and reference": "cosine_distillation_reference",
}


def conflict() -> str:
    """The cosines between gradients, the mean over the epochs."""
    rows = []
    for label in JAX.done(DESK):
        logs = [result["cosines"] for result in JAX.rows[label].values() if "cosines" in result]
        names = list(dict.fromkeys(name for log in logs for name in log))
        others = [name for name in names if name not in TERMS.values() and "reference" not in name]
        rows.append([label, *(cosine(logs, name) for name in (*TERMS.values(), *others[:1]))])
    return table(
        ["Plan", *TERMS, "methods of the joint stage"], [row + [""] * (4 - len(row)) for row in rows if any(row[1:])]
    )


def cosine(logs: list[dict[str, list[float]]], name: str) -> str:
    """The mean of a cosine over epochs and seeds; an epoch of a stage without one of the terms has NaN."""
    means = [mean(value for value in log[name] if not isnan(value)) for log in logs if name in log]
    return Estimate.of(means).text("+") if means else ""


def search() -> str:
    """What two searches of one budget found, that among single methods first."""
    rows, single = [], None
    for file in sorted((RESULTS / "search").glob("*.json")):
        found = json.loads(file.read_text())
        count = len({(trial["plan"], trial["reference_weight"]) for trial in found["trials"]})
        best, tested = found["trials"][0]["val_accuracy"], found["test"]
        single = single or tested
        against = Estimate.of([tested[seed] - single[seed] for seed in tested])
        accuracies = [f"{100 * best:.1f}", Estimate.of(list(tested.values())).text(), against.text("+")]
        rows.append([file.stem.split("=")[1], count, found["spent"], found["winner"], *accuracies])
    head = [
        "Stages, at most",
        "Plans tried",
        "Epochs",
        "Winner",
        "On validation images",
        "On test images",
        "To the first",
    ]
    return table(head, rows)


def setting() -> str:
    """The protocol."""
    desk, short = (next(iter(summary.rows[ALONE].values()))["protocol"] for summary in (JAX, SHORT))
    return table(
        ["What", "desk", "short"], ([name.replace("_", " "), value, short[name]] for name, value in desk.items())
    )


def teacher() -> str:
    """The accuracy of the teacher."""
    files = [RESULTS / "teachers" / name for name in ("desk_wrn_16_2.json", "short_resnet56.json")]
    desk, short = (json.loads(file.read_text()) for file in files)
    return table(["Accuracy of the teacher, %", "desk", "short"], ([part, desk[part], short[part]] for part in desk))


def draw() -> None:
    """Draws all plans of the main table, by what they gain."""
    import matplotlib  # noqa: PLC0415

    matplotlib.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    labels = sorted(JAX.done(DESK), key=lambda label: JAX.estimate(label, test).mean)
    estimates: list[Estimate] = [JAX.estimate(label, test) for label in labels]
    colors = ["C2" if ">" in label else "C1" if "+" in label else "C7" if label == ALONE else "C0" for label in labels]
    figure, axis = pyplot.subplots(figsize=(7, 0.26 * len(labels) + 1), layout="constrained")
    for row, (estimate, color) in enumerate(zip(estimates, colors, strict=True)):
        axis.errorbar(estimate.mean, row, xerr=estimate.error, fmt="o", color=color, capsize=3)
    axis.set_yticks(range(len(labels)), labels)
    axis.set(xlabel="test accuracy after the last epoch, %, with its standard error")
    axis.grid(axis="x", alpha=0.3)
    for color, kind in {"C7": "alone", "C0": "one method", "C1": "jointly", "C2": "in stages"}.items():
        axis.plot([], [], "o", color=color, label=kind)
    axis.legend(loc="lower right")
    figure.savefig(PLOT, dpi=90)


TABLES = (
    setting,
    teacher,
    factors,
    desk,
    pairs,
    times,
    weightings,
    weights,
    temperatures,
    restarts,
    longer,
    published,
    short,
    stages,
    forgetting,
    conflict,
    search,
)

if __name__ == "__main__":
    write_or_check(PAGE, TABLES, draw)
