"""Real EM slices for trying things on, downloaded from where their authors keep them."""

from .samples import SAMPLES, Sample, SampleFile, download, fetch_sample, sample_files

__all__ = ["SAMPLES", "Sample", "SampleFile", "download", "fetch_sample", "sample_files"]
