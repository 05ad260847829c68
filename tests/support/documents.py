"""What the documents say to type: blocks of commands and of Python."""

from __future__ import annotations

import re
from pathlib import Path

from support import REPOSITORY

#: README, its like in the root, and all pages.
DOCUMENTS = sorted(
    [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")],
    key=lambda path: path.name,
)


def blocks(path: Path, language: str) -> list[str]:
    """Fenced blocks of a document, also indented ones."""
    text = path.read_text(encoding="utf-8")
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE)
    return [body for _, body in found]


def commands(path: Path, holding: str = "tsain") -> list[str]:
    """Lines of the shell blocks in which a text stands, without their comments."""
    found = [block for block in blocks(path, "sh") if holding in block]
    lines = [line.partition("#")[0].strip() for block in found for line in block.splitlines()]
    return [line for line in lines if line]
