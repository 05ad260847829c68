"""Where this user's models and jobs lie."""

from __future__ import annotations

import os
from pathlib import Path

#: Environment variable that names another folder.
HOME_VARIABLE = "TSAIN_HOME"


def user_folder() -> Path:
    """Folder of what users make: platformdirs' data folder, or what `TSAIN_HOME` names."""
    named = os.environ.get(HOME_VARIABLE)
    if named:
        return Path(named).expanduser()
    from platformdirs import user_data_path

    return user_data_path("napari-tsain", appauthor=False)


def own_models_folder() -> Path:
    """Folder of fine-tuned models; may not be there yet."""
    return user_folder() / "models"


def jobs_folder() -> Path:
    """Folder with a folder for each job; may not be there yet."""
    return user_folder() / "jobs"


def checks_folder() -> Path:
    """Folder of the scores of earlier checks, which can be computed again; may not be there yet."""
    if os.environ.get(HOME_VARIABLE):
        return user_folder() / "checks"
    from platformdirs import user_cache_path

    return user_cache_path("napari-tsain", appauthor=False) / "checks"
