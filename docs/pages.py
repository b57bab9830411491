"""Pages whose tables are made by functions: the part of a page behind `<!-- name -->` is what the function returns."""

import pathlib
import re
import sys
from collections.abc import Callable, Iterable, Sequence

ROOT = pathlib.Path(__file__).parent.parent


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def filled(text: str, makers: Sequence[Callable[[], str]]) -> str:
    """A page with its tables."""
    for make in makers:
        pattern = rf"(<!-- {make.__name__} -->\n).*?(<!-- end -->)"
        text = re.sub(pattern, lambda match, make=make: f"{match[1]}{make()}\n{match[2]}", text, flags=re.DOTALL)
    return text


def write_or_check(page: pathlib.Path, makers: Sequence[Callable[[], str]], draw: Callable[[], None]) -> None:
    """Writes a page and draws its plots; with `--check` on the command line compares the tables alone."""
    text = filled(page.read_text(), makers)
    if "--check" not in sys.argv:
        page.write_text(text)
        draw()
    elif page.read_text() != text:
        maker = pathlib.Path(sys.argv[0]).name
        sys.exit(f"{page.relative_to(ROOT)} is not up to date: run `python docs/{maker}`.")
