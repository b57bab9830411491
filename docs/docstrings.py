"""Docstrings as Markdown: examples as code, "Formula" and "Source" in bold, links to papers. `mkdocs.yml` names it."""

import re
from typing import Any

import griffe

WORDS = ("Formula", "Example", "Source")


class Docstrings(griffe.Extension):
    """Prepares every docstring before the site reads its sections."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(docstring: str) -> str:
    """A docstring with its examples in fences."""
    text = re.sub(r"(?m)(^>>> .*(?:\n.+)*)", r"```pycon\n\1\n```", docstring)
    text = re.sub(rf"(?m)^({'|'.join(WORDS)})(:|, )", r"**\1**\2", text)
    return re.sub(r"arXiv:(\d{4}\.\d{5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
