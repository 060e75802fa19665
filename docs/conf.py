"""Sphinx: the documentation site; `make docs` builds it with warnings as errors."""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from pathlib import Path

import praesepe

HERE = Path(__file__).parent
ROOMS = (
    "inference images survey stars sky mocks network training evaluation statistics plots report"
)
PACKAGES = ("praesepe", *(f"praesepe.{room}" for room in ROOMS.split()))

project = "Praesepe"
author = "The Praesepe developers"
copyright = "The Praesepe developers"
version = release = praesepe.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "myst_parser",
    "numpydoc",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}

myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings give types
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = f"Praesepe {release}"
html_show_sourcelink = False
html_sidebars = {"**": ["contents.html"]}
html_theme_options = {
    "navbar_center": [],
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "navigation_with_keys": False,
}
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True


# Documents outside this folder that have a page here: their links are turned to that page.
PAGES = {
    "../CONTRIBUTING.md": "contributing.md",
    "../CHANGELOG.md": "changelog.md",
    "../README.md": "index.md",
    "../src/praesepe/data/weights/phat/README.md": "model_phat.md",
    "../src/praesepe/data/weights/phat-nodust/README.md": "model_phat_nodust.md",
    "../src/praesepe/data/weights/phat6/README.md": "model_phat6.md",
}


def turn_links(app: object, name: str, source: list[str]) -> None:
    """Links that work in the repository lead to the site's own page."""
    for file, page in PAGES.items():
        source[0] = source[0].replace(f"]({file}", f"]({page}")


def turn_included_links(app: object, path: object, name: str, source: list[str]) -> None:
    """Included documents name files from where they stand themselves."""
    source[0] = source[0].replace("](docs/", "](")


def public_objects(package: str) -> dict[str, object]:
    """Public classes and functions of a package."""
    module = importlib.import_module(package)
    names = getattr(module, "__all__", None) or dir(module)
    values = {name: getattr(module, name) for name in sorted(names) if not name.startswith("_")}
    return {
        name: value
        for name, value in values.items()
        if inspect.isclass(value) or inspect.isroutine(value)
    }


def heading(text: str, line: str) -> str:
    """Write a heading of reStructuredText."""
    return f"{text}\n{line * len(text)}\n"


def write_api(folder: Path) -> None:
    """Write a page for each package: its purpose, and what it offers.

    What `praesepe` itself offers is described there alone.
    """
    folder.mkdir(exist_ok=True)
    described: dict[int, str] = {}
    for package in PACKAGES:
        objects = public_objects(package)
        elsewhere = [described[id(value)] for value in objects.values() if id(value) in described]
        here = [name for name, value in objects.items() if id(value) not in described]
        described |= {id(objects[name]): f"{package}.{name}" for name in here}
        parts = [heading(package, "="), f".. automodule:: {package}\n   :no-members:\n"]
        if elsewhere:
            links = ", ".join(f":py:obj:`{name}`" for name in elsewhere)
            parts.append(f"Described elsewhere: {links}.\n")
        if here:
            parts.append(f".. currentmodule:: {package}\n")
            parts.append(".. autosummary::\n   :toctree: objects\n   :nosignatures:\n")
            parts.append("".join(f"   {name}\n" for name in here))
        (folder / f"{package}.rst").write_text("\n".join(parts), "utf-8")


def write_commands(file: Path) -> None:
    """Write down what ``praesepe COMMAND --help`` prints, for all commands."""
    import click
    import typer

    from praesepe.cli.app import app

    parts = [
        heading("Command line", "="),
        "The commands and their options, as ``praesepe COMMAND --help`` prints them.\n",
    ]

    def walk(command: click.Command, words: list[str]) -> None:
        context = click.Context(command, info_name=" ".join(words))
        children = getattr(command, "commands", {})
        shown = inspect.cleandoc(command.help or command.short_help or "").split("\f")[0]
        parts.append(heading(" ".join(words), "-" if len(words) < 3 else "~"))
        for paragraph in re.sub(r"^Examples?: ", "", shown, flags=re.M).split("\n\n"):
            if paragraph.startswith("praesepe "):
                parts.append(".. code-block:: none\n\n" + textwrap.indent(paragraph, "   ") + "\n")
            else:
                parts.append(re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", paragraph) + "\n")
        if not children:
            formatter = click.HelpFormatter(width=78)
            command.format_usage(context, formatter)
            click.Command.format_options(command, context, formatter)
            lines = formatter.getvalue().splitlines()
            parts.append(".. code-block:: none\n")
            parts.append("".join(f"   {line}\n" for line in lines))
        for name, child in children.items():
            walk(child, [*words, name])

    walk(typer.main.get_command(app), ["praesepe"])
    file.write_text("\n".join(parts) + "\n", "utf-8")


def write_equation(self: object, node: object) -> None:
    """Write an equation as MathML, which browsers draw themselves: no script from elsewhere."""
    from docutils.nodes import SkipNode, math_block
    from docutils.utils.math.latex2mathml import tex2mathml

    tex = node.astext().strip()  # type: ignore[attr-defined]
    tex = re.sub(r"\{\\rm ([^}]*)\}", r"{\\mathrm{\1}}", tex)
    tex = tex.replace(r"\Big", "").replace(r"\dots", r"\ldots")
    block = isinstance(node, math_block)
    equation = tex2mathml(tex, as_block=block)
    self.body.append(f'<div class="math">{equation}</div>' if block else equation)  # type: ignore[attr-defined]
    raise SkipNode


def setup(app: object) -> None:
    """Write the generated pages before Sphinx looks for documents."""
    write_api(HERE / "api")
    write_commands(HERE / "api" / "commands.rst")
    app.add_html_math_renderer(  # type: ignore[attr-defined]
        "mathml", (write_equation, None), (write_equation, None)
    )
    app.connect("include-read", turn_included_links)  # type: ignore[attr-defined]
    app.connect("source-read", turn_links)  # type: ignore[attr-defined]
