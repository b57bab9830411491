"""What holds for every method, tried on thousands of drawn cases.

    KERAS_BACKEND=torch python -m benchmarks.fuzz --examples 5500

The properties of `tests/properties`, each with an equal part of the examples: method, shapes, precision, labels,
weights and sizes of batches are drawn by hypothesis from a seed. Writes benchmarks/fuzz.json. It is 1 to the shell if a
property failed.
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings, strategies

from benchmarks.turns import Row, save, show
from tests.properties import PROPERTIES


def tried(check: Callable[[Any], None], examples: int, start: int) -> Row:
    """Checks a property; a failure ends it, and is told with the case that it was."""
    count = 0

    @seed(start)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=strategies.data())
    def run(data: Any) -> None:
        nonlocal count
        count += 1
        check(data.draw)

    began, failure = time.perf_counter(), ""
    try:
        run()
    except Exception as error:
        failure = "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
    row: Row = {"examples": count, "failures": int(bool(failure)), "seed": start}
    if failure:
        print(f"\n{check.__name__}: {failure}", flush=True)
    return {**row, "seconds": round(time.perf_counter() - began, 1)}


def main() -> None:
    """Tries all properties."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=5500, help="of all properties together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="names of properties; the others are left out, and nothing is saved")
    options = parser.parse_args()
    each = -(-options.examples // len(PROPERTIES))
    chosen = [check for check in PROPERTIES if not options.only or check.__name__ in options.only]
    rows = {}
    for check in chosen:
        rows[check.__name__] = tried(check, each, options.seed)
        show(check.__name__, {"": rows[check.__name__]})
    sums = {of: sum(row[of] for row in rows.values()) for of in ("examples", "failures", "seconds")}
    rows["all"] = {**sums, "seconds": round(sums["seconds"], 1)}
    show("Fuzz", rows)
    if not options.only:
        save(__file__, rows)
    sys.exit(int(sums["failures"] > 0))


if __name__ == "__main__":
    main()
