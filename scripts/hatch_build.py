"""Build hook of hatchling: gives an editable install its copy of `napari.yaml`.

napari looks for the manifest only inside the folder of the package `napari_tsain`. A wheel gets it
there by `force-include` in pyproject.toml. An editable install runs from the checkout, where the
manifest lies at the root; so it is copied beside the package's modules, which git ignores.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManifestHook(BuildHookInterface):
    """Copies the manifest when an editable install is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds; `version` is "standard" or "editable"."""
        if version == "editable":
            root = Path(self.root)
            shutil.copyfile(root / "napari.yaml", root / "napari_tsain" / "napari.yaml")
