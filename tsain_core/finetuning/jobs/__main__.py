"""`python -m tsain_core.finetuning.jobs FOLDER`: the process of a job."""

from __future__ import annotations

import sys
from pathlib import Path

from .run import run_job

if __name__ == "__main__":
    sys.exit(run_job(Path(sys.argv[1])))
