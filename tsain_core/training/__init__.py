"""Training: triplets, augmentation, losses, guards and the loop."""

from .augment import Augmentation
from .data import TripletSampler, TripletSource
from .loop import Trainer, TrainingProgress
from .losses import LossSettings
from .settings import TrainingSettings

__all__ = [
    "Augmentation",
    "LossSettings",
    "TrainingProgress",
    "Trainer",
    "TrainingSettings",
    "TripletSampler",
    "TripletSource",
]
