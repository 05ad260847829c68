"""Fine-tuning jobs: processes of their own that outlive whoever started them.

A job is a folder. `JobRequest` is what it is asked to do, `run_job` does it in a process of its
own, and `Job` is how others start, watch and steer it, from any process and at any time.
"""

from .job import Job, JobState, list_jobs, start_job
from .request import JobRequest
from .run import run_job

__all__ = ["Job", "JobRequest", "JobState", "list_jobs", "run_job", "start_job"]
