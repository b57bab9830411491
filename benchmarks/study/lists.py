"""The lists of runs that a study consists of."""

from benchmarks.study.plan import ALONE, Run

SINGLE = ["KD", "DKD", "FitNet", "AT", "SP", "RKD", "PKT", "CRD", "VID"]
PAIRS = [("FitNet", "KD"), ("AT", "KD"), ("RKD", "KD"), ("CRD", "VID")]
TRIPLES = ["FitNet > RKD > KD", "KD > RKD > FitNet"]
ABLATED = ["FitNet > KD", "KD > FitNet"]
WEIGHTINGS = ["uniform", "known", "shuffled", "normalized_tcp", "normalized_known"]
REFERENCE_WEIGHTS = [0.0, 0.3, 1.0, 3.0, 10.0]
REFERENCE_TEMPERATURES = [1.0, 8.0]
LONGEST = ["KD", "FitNet", "AT", "SP", "RKD", "KD"]
FACTORS = [0.1, 1.0, 10.0]
EDGES = ["0.01 * FitNet", "0.01 * AT", "0.01 * SP", "0.01 * RKD", "100 * KD", "100 * VID"]
"""One further, where the best of those factors was the smallest or the largest."""


def _rows(*plans: str, **options: object) -> list[Run]:
    return [Run(plan, **options) for plan in plans]


SINGLES = _rows(ALONE, *SINGLE)
JOINT = _rows(*(f"{first} + {second}" for first, second in PAIRS))
ORDERS = [f"{first} > {second}" for pair in PAIRS for first, second in (pair, pair[::-1])]
DESK = [*SINGLES, *JOINT, *_rows(*ORDERS, *TRIPLES)]
WITHOUT = _rows(*ORDERS, *TRIPLES, reference_weight=0.0)

ABLATION = [
    *_rows("KD"),
    *(run for weighting in WEIGHTINGS for run in _rows(*ABLATED, weighting=weighting)),
    *(run for weight in REFERENCE_WEIGHTS for run in _rows(*ABLATED, reference_weight=weight)),
    *(run for temperature in REFERENCE_TEMPERATURES for run in _rows(*ABLATED, reference_temperature=temperature)),
    *(run for weight in (0.0, 1.0) for run in _rows(*ABLATED, restart=False, reference_weight=weight)),
]

STAGES = [
    *_rows("KD"),
    *(
        run
        for count in (2, 3, 4, 6)
        for weight in (0.0, 1.0)
        for run in _rows(" > ".join(LONGEST[-count:]), reference_weight=weight)
    ),
]

LONGER = [
    *_rows(ALONE, "KD", "DKD", "FitNet + KD", *ABLATED, epochs=36),
    *(run for weight in (0.0, 1.0) for run in _rows(*ABLATED, epochs=36, restart=False, reference_weight=weight)),
    *_rows(*ABLATED, epochs=36, reference_weight=0.0),
]

PUBLISHED = [
    *_rows(ALONE, "1 * KD", "1 * FitNet", "1 * FitNet + 1 * KD", "1 * FitNet > 1 * KD", "1 * KD > 1 * FitNet"),
    *_rows("1 * FitNet > 1 * KD", "1 * KD > 1 * FitNet", reference_weight=0.0),
]

LISTS = {
    "weights": _rows(*(f"{factor:g} * {method}" for method in SINGLE for factor in FACTORS)),
    "edges": _rows(*EDGES),
    "desk": DESK,
    "without": WITHOUT,
    "ablation": ABLATION,
    "stages": STAGES,
    "longer": LONGER,
    "published": PUBLISHED,
}
