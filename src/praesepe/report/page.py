"""One self-contained page: text, tables and figures, in one HTML file."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from praesepe.files import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #22282e; max-width: 72em; margin: 2em auto; }
table { border-collapse: collapse; } th { text-align: left; }
td, th { padding: 0.2em 0.8em 0.2em 0; vertical-align: top; border-bottom: 1px solid #e4e7ea; }
.wrong { color: #b3261e; font-weight: 600; } .note { color: #2f6690; } .unknown { color: #8a6d00; }
.fine { color: #3b7a4b; } img { max-width: 100%; } figure { margin: 1.5em 0; }
tr:has(td.wrong) { background: #fdf0ef; }
figcaption, .small { color: #5a5f66; font-size: 0.9em; }
"""


class Page:
    """Gathers the parts of a page, from top to bottom.

    Parameters
    ----------
    title : str
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._parts: list[str] = []

    def heading(self, text: str) -> None:
        """Add a heading."""
        self._parts.append(f"<h2>{escape(text)}</h2>")

    def text(self, text: str, *, kind: str = "") -> None:
        """Add a paragraph; `kind` is a class of the style sheet."""
        self._parts.append(f'<p class="{escape(kind)}">{escape(text)}</p>')

    def table(
        self,
        heads: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        kinds: Iterable[str] | None = None,
    ) -> None:
        """Add a table; `kinds` are classes of the last cell but one of each row."""
        rows = [list(row) for row in rows]
        marks = list(kinds) if kinds is not None else [""] * len(rows)
        lines = ["".join(f"<th>{escape(head)}</th>" for head in heads)]
        for row, mark in zip(rows, marks, strict=True):
            cells = [f"<td>{escape(cell)}</td>" for cell in row]
            if mark:
                cells[-2] = f'<td class="{escape(mark)}">{escape(row[-2])}</td>'
            lines.append("".join(cells))
        self._parts.append("<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>")

    def figure(self, figure: Figure, caption: str) -> None:
        """Add a figure with a sentence on what it shows."""
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=110)
        data = base64.b64encode(stream.getvalue()).decode()
        self._parts.append(
            f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
        )

    def save(self, path: Path, *, overwrite: bool = False) -> Path:
        """Write the page."""
        title = escape(self.title)
        head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        body = f"<h1>{title}</h1>" + "\n".join(self._parts)
        with atomic(path, overwrite=overwrite) as part:
            part.write_text(
                f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n',
                encoding="utf-8",
            )
        return path
