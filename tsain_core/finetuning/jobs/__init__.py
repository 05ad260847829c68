"""Fine-tuning jobs: processes of their own that outlive whoever started them.

A job is a folder. `JobRequest` says what to do, `run_job` does it in a process of its
own, and `Job` is how others start, watch and steer it, from any process and at any time.
"""

from .job import Job, JobState, copy_input, list_jobs, make_job, start_job
from .naming import check_name, free_name, name_for, taken_names
from .request import JobRequest
from .run import run_job
from .watch import JobView, JobWatch

__all__ = [
    "Job",
    "JobRequest",
    "JobState",
    "JobView",
    "JobWatch",
    "check_name",
    "copy_input",
    "free_name",
    "list_jobs",
    "make_job",
    "name_for",
    "run_job",
    "start_job",
    "taken_names",
]
