"""Print the lowest versions that pyproject.toml allows, as constraints for pip.

    python tools/lowest_versions.py > constraints-lowest.txt

The Makefile does this: make pytest CONSTRAINTS=constraints-lowest.txt TORCH=torch. PyTorch is
taken as the machine has it; test tools, and what the libraries bring along, as pip chooses.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

OPEN = {"torch", "praesepe"}


def lowest_versions(pyproject: Path) -> dict[str, str]:
    """Distribution: lowest version, for the core and all that ``praesepe[all]`` brings."""
    project = tomllib.loads(pyproject.read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    (everything,) = extras["all"]
    chosen = re.fullmatch(r"praesepe\[(.*)\]", everything)[1].split(",")
    needed = [*project["dependencies"], *(line for extra in chosen for line in extras[extra])]
    versions = dict(line.split(">=") for line in needed)
    return {name: versions[name] for name in sorted(versions) if name not in OPEN}


if __name__ == "__main__":
    root = Path(__file__).resolve().parents[1]
    for name, version in lowest_versions(root / "pyproject.toml").items():
        print(f"{name}=={version}")
