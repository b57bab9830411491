"""The lists of runs that a study consists of."""

from benchmarks.study.plan import ALONE, Run

SINGLE = ["KD", "DKD", "FitNet", "AT", "SP", "RKD", "PKT", "CRD"]
PAIRS = [("FitNet", "KD"), ("AT", "KD"), ("SP", "KD"), ("RKD", "KD"), ("CRD", "KD"), ("CRD", "VID")]
TRIPLES = ["FitNet > SP > KD", "FitNet > RKD > KD", "AT > CRD > KD"]
ABLATED = ["FitNet > KD", "KD > FitNet"]


def _rows(*plans: str, **options: object) -> list[Run]:
    return [Run(plan, **options) for plan in plans]


DESK = [
    *_rows(ALONE, *SINGLE, "VID"),
    *_rows(*(f"{first} + {second}" for first, second in PAIRS)),
    *_rows(*(f"{first} > {second}" for first, second in PAIRS)),
    *_rows(*(f"{second} > {first}" for first, second in PAIRS)),
    *_rows(*TRIPLES),
]

WITHOUT = _rows(*(f"{first} > {second}" for first, second in PAIRS), *TRIPLES, reference_weight=0.0)

ABLATION = [
    *_rows(*ABLATED, *(f"{second} > {first}" for first, second in PAIRS[1:]), reference_weight=0.0),
    *(
        run
        for weighting in ("uniform", "known", "shuffled", "normalized_tcp", "normalized_known", "normalized_shuffled")
        for run in _rows(*ABLATED, weighting=weighting)
    ),
    *(run for weight in (0.3, 3.0, 10.0) for run in _rows(*ABLATED, reference_weight=weight)),
    *(run for temperature in (1.0, 2.0, 8.0) for run in _rows(*ABLATED, reference_temperature=temperature)),
    *_rows(*ABLATED, restart=False),
    *_rows(*ABLATED, restart=False, reference_weight=0.0),
]

STAGES = [
    run
    for count in (2, 3, 4, 6)
    for weight in (0.0, 1.0)
    for run in _rows(" > ".join(["KD", "FitNet", "AT", "SP", "RKD", "KD"][-count:]), reference_weight=weight)
]

LISTS = {
    "singles": _rows(ALONE, *SINGLE, "VID"),
    "desk": DESK,
    "without": WITHOUT,
    "ablation": ABLATION,
    "stages": STAGES,
    "weights": [run for method in SINGLE for run in _rows(f"0.1 * {method}", f"0.01 * {method}")],
}
