"""What the site does to pages that are written to be read as files too; `mkdocs.yml` names it."""

import pathlib
import re
from typing import Any

ROOT = pathlib.Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))

OUTSIDE = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "examples/quickstart.py": "quickstart.md",
    "examples/custom_distiller.py": "custom_distiller.md",
    **{f"examples/notebooks/{file.name}": f"tutorials/{file.stem}.md" for file in NOTEBOOKS},
}
"""Files outside of this folder, and the pages that are made of them."""

TITLES = {"examples/quickstart.py": "Quickstart", "examples/custom_distiller.py": "A method of your own"}


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages that are made of other files."""
    from mkdocs.structure.files import File  # noqa: PLC0415, the test of the pages does without

    for source, page in OUTSIDE.items():
        made = tutorial(source) if source.endswith(".ipynb") else {page: page_of(source)}
        for path, content in made.items():
            files.append(File.generated(config, path, content=content))
    return files


def tutorial(source: str) -> dict[str, str | bytes]:
    """The page that is made of a notebook, and its plots."""
    from nbconvert import MarkdownExporter  # noqa: PLC0415, as above

    page = pathlib.PurePath(OUTSIDE[source])
    text, parts = MarkdownExporter().from_filename(ROOT / source, {"output_files_dir": page.stem})
    plots = {str(page.parent / name): content for name, content in parts["outputs"].items()}
    return {str(page): led_to_site(text), **plots}


def led_to_site(text: str) -> str:
    """The text of a tutorial, with addresses of files that lead to pages of the site, if that has them."""

    def path(address: re.Match[str]) -> str:
        if address[1].startswith("docs/"):
            return address[1].replace("docs", "..", 1)
        return f"../{OUTSIDE[address[1]]}" if address[1] in OUTSIDE else address[0]

    return re.sub(r"https://github\.com/[\w./-]+/blob/main/([\w./-]+)(?:\?raw=true)?", path, text)


def page_of(source: str) -> str:
    """The page that is made of a text, or of a script its code."""
    text = (ROOT / source).read_text()
    if source.endswith(".md"):
        return re.sub(r"\]\(docs/", "](", text)
    return f"# {TITLES[source]}\n\n`{source}`:\n\n```python\n{text.rstrip()}\n```\n"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turns what is right in a file into what is right on the site."""
    for source, target in OUTSIDE.items():
        markdown = re.sub(rf"\]\((\.\./)?{re.escape(source)}(?=[)#])", f"]({target}", markdown)
    markdown = re.sub(r"(?m)^```python\n(?=>>> )", "```pycon\n", markdown)
    return markdown.replace("<details>", '<details markdown="1">')


def on_page_content(html: str, **_: Any) -> str:
    """Puts drawings into the page, where they take its colours."""
    return re.sub(r'<img [^>]*src="(?:\.\./)*(\w+\.svg)"[^>]*>', lambda found: drawing(found[1]), html)


def drawing(name: str) -> str:
    """A drawing of this folder."""
    return (ROOT / "docs" / name).read_text()
