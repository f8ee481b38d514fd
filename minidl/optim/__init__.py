"""Optimisers, clipping, the max-norm constraint, and schedules of the learning rate (also as `optim.lr_scheduler`)."""

from . import lr_scheduler
from .adam import Adam, AdamW
from .adaptive import Adagrad, RMSprop
from .clip import clip_grad_norm_, clip_grad_value_
from .lr_scheduler import *  # noqa: F403
from .lr_scheduler import __all__ as _schedules
from .max_norm import max_norm_
from .optimizer import Optimizer
from .sgd import SGD

__all__ = [
    "SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "clip_grad_norm_", "clip_grad_value_", "lr_scheduler",
    "max_norm_", *_schedules,
]  # fmt: skip
