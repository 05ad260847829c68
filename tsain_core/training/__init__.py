"""Training: triplets, augmentation, losses, guards and the loop."""

from .augment import Augmentation
from .data import TripletSampler, TripletSource
from .loop import Progress, Trainer
from .losses import LossSettings
from .settings import TrainingSettings

__all__ = [
    "Augmentation",
    "LossSettings",
    "Progress",
    "Trainer",
    "TrainingSettings",
    "TripletSampler",
    "TripletSource",
]
