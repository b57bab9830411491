"""Writes docs/methods.md, and the table of methods in README.md, from the docstrings of the methods.

    python docs/make_methods.py           writes both
    python docs/make_methods.py --check   fails if they are not up to date

What a method was tested against comes from the tests.
"""

import inspect
import json
import pathlib
import re
import sys
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.every_method import METHODS  # noqa: E402
from keras_smskd import distillers  # noqa: E402
from tests import parity  # noqa: E402

PAGE, README = ROOT / "docs" / "methods.md", ROOT / "README.md"
BEGIN, END = "<!-- methods: made by docs/make_methods.py -->", "<!-- end of methods -->"

COSTS = json.loads((ROOT / "benchmarks" / "step_cost.json").read_text())
KINDS = {"response": "Outputs", "feature": "Features", "relation": "Relations between samples"}
READS = {
    "logits": "none, the outputs alone",
    "features": "layers with outputs of any shape",
    "maps": "layers with feature maps; token sequences of square length count as maps",
    "levels": "layers with feature maps or vectors",
    "sequences": "layers with token sequences; maps count as sequences of their positions",
    None: "none, or layers to compare besides the outputs",
}
HEAD = """# Methods

All methods of keras_smskd, made from their docstrings (`help(keras_smskd.KDDistiller)` shows the rest: arguments,
ranges, an example). *Tested against* says where the expected losses and gradients come from: **reference** means
numbers computed by a published reference implementation, **paper** a plain NumPy implementation written from the paper.
Every method is tested against the latter too, on TensorFlow, JAX and PyTorch. *Weights* are the defaults of
`label_weight` and `distillation_weight`, those of the published benchmarks where there are any. *Cost* is that of a
training step relative to one of KD on the same models and two processor cores, on TensorFlow / JAX / PyTorch, measured
by `python -m benchmarks.step_cost`, which says how: with larger models it comes nearer to 1. A default such as
`projector=pointwise_projector` names a function of `keras_smskd.projectors`. Besides the arguments listed here every
method takes [those of all methods](#what-all-methods-take).

"""


class Method:
    """What a row and a section say of one distiller."""

    def __init__(self, acronym: str) -> None:
        self.acronym = acronym
        self.name = f"{acronym}Distiller"
        self.distiller = getattr(distillers, self.name)
        self.paragraphs = inspect.getdoc(self.distiller).split("\n\n")

    @property
    def title(self) -> str:
        """The method's name without its acronym."""
        return re.sub(r" \([^)]*\)$", "", self.paragraphs[0].split(": ")[0])

    @property
    def purpose(self) -> str:
        """What it does, in a line."""
        return self.paragraphs[0].split(": ", 1)[1].replace("\n", " ")

    @property
    def formula(self) -> str:
        """The paragraphs of the docstring from the formula to the arguments."""
        start = next(i for i, paragraph in enumerate(self.paragraphs) if paragraph.startswith("Formula"))
        stop = next(i for i, paragraph in enumerate(self.paragraphs) if paragraph.startswith("Args:"))
        return re.sub(r"^Formula[:,]? ?", "", "\n\n".join(self.paragraphs[start:stop])).strip()

    @property
    def source(self) -> str:
        """The papers, with links."""
        source = next(paragraph for paragraph in self.paragraphs if paragraph.startswith("Source:"))
        text = source.removeprefix("Source:").strip().replace("\n", " ")
        return re.sub(r"arXiv:(\d+\.\d+)", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)

    @property
    def links(self) -> str:
        """The papers' numbers alone."""
        return ", ".join(f"[{number}](https://arxiv.org/abs/{number})" for number in self.numbers[:1])

    @property
    def numbers(self) -> list[str]:
        """The papers' arXiv ids."""
        return re.findall(r"arXiv:(\d+\.\d+)", self.paragraphs[-1])

    @property
    def weights(self) -> str:
        """The default weights."""
        return f"{self.distiller.default_label_weight:g} / {self.distiller.default_distillation_weight:g}"

    @property
    def tested(self) -> str:
        """Where the expected numbers come from."""
        return "reference" if self.acronym in map(parity.method_of, parity.load()[0]) else "paper"

    @property
    def cost(self) -> str:
        """The cost of a step on the three backends."""
        return " / ".join(
            f"{COSTS[backend]['rows'][self.acronym]['of KD, processor']:.2f}"
            for backend in ("tensorflow", "jax", "torch")
        )

    @property
    def arguments(self) -> list[str]:
        """What the method's own arguments are, and how it takes `layers`."""
        own = inspect.signature(self.distiller.__init__).parameters if "__init__" in vars(self.distiller) else {}
        described = described_arguments(self.distiller)
        layers = ["layers"] if "layers" in described else []
        names = [name for name, parameter in own.items() if parameter.kind is parameter.KEYWORD_ONLY]
        return [f"`{name}{default_of(own.get(name))}`: {described[name]}" for name in [*layers, *names]]


def described_arguments(distiller: type) -> dict[str, str]:
    """The arguments that a docstring describes, each in one line."""
    paragraphs = inspect.getdoc(distiller).split("\n\n")
    text = next(paragraph for paragraph in paragraphs if paragraph.startswith("Args:"))
    entries = re.findall(r"^    (\w+): ((?:.|\n(?!    \w|    \*))+)", text, flags=re.MULTILINE)
    return {name: re.sub(r"\s+", " ", description) for name, description in entries}


def default_of(parameter: inspect.Parameter | None) -> str:
    """`=` and the default of an argument, nothing where it is required."""
    if parameter is None or parameter.default is parameter.empty:
        return ""
    default = parameter.default
    return f"={default.__name__ if callable(default) else repr(default)}"


def row(method: Method) -> str:
    """One line of the README's table."""
    return (
        f"| `{method.name}` | {method.title} | {KINDS[method.distiller.kind].split()[0].lower()} | {method.weights} | "
        f"{method.links} |"
    )


def readme_table(methods: list[Method]) -> str:
    """The README's table."""
    head = "| Class | Method | Knowledge | Label / distillation weight | Source |\n|---|---|---|---|---|\n"
    return head + "\n".join(map(row, methods)) + "\n"


def section(method: Method) -> Iterator[str]:
    """The part of the page about one method."""
    yield f"### `{method.name}`\n\n{method.title}: {method.purpose}\n\n"
    yield f"{method.formula}\n\n"
    yield f"- Layers: {READS[method.distiller.reads]}\n"
    yield from (f"- {argument}\n" for argument in method.arguments)
    yield f"- Weights: {method.weights}\n- Cost: {method.cost}\n- Tested against: {method.tested}\n"
    yield f"- Source: {method.source}\n\n"


def page(methods: list[Method]) -> str:
    """The whole page."""
    parts = [HEAD]
    for kind, title in KINDS.items():
        of_kind = [method for method in methods if method.distiller.kind == kind]
        parts.append(f"## {title}\n\n| Class | Purpose | Weights | Cost | Tested against |\n|---|---|---|---|---|\n")
        for method in of_kind:
            link = f"[`{method.name}`](#{method.name.lower()})"
            parts.append(f"| {link} | {method.purpose} | {method.weights} | {method.cost} | {method.tested} |\n")
        parts.append("\n")
        parts.extend("".join(section(method)) for method in of_kind)
    parts.append("## What all methods take\n\n")
    parts.extend(
        f"- `{name}`: {text}\n" for name, text in described_arguments(distillers.Distiller).items() if name != "layers"
    )
    return "".join(parts).rstrip() + "\n"


def main() -> None:
    """Writes both files, or compares them."""
    order = list(KINDS)
    methods = sorted(map(Method, METHODS), key=lambda m: (order.index(m.distiller.kind), m.name))
    readme = README.read_text()
    before, rest = readme.split(BEGIN)
    texts = {PAGE: page(methods), README: f"{before}{BEGIN}\n{readme_table(methods)}{END}{rest.split(END)[1]}"}
    for path, text in texts.items():
        if "--check" not in sys.argv:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.exit(f"{path.relative_to(ROOT)} is not up to date: run `python docs/make_methods.py`.")


if __name__ == "__main__":
    main()
