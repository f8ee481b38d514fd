"""The training loop with its callbacks; weights and checkpoints on disk.

| what | for |
|---|---|
| `fit` | train: the loop itself, on one screen |
| `evaluate`, `predict` | loss and metrics on data; outputs for data |
| `Callback`, `Run` | take part in the loop: seven moments, and what they see |
| `EarlyStopping`, `Checkpoint`, `Schedule`, `Log` | the callbacks that most runs want |
| `History` | what happened, as rows of plain data |
| `accuracy`, `binary_accuracy` | metrics |
| `save_weights`, `load_weights` | a model's weights as a safetensors file |
| `load_checkpoint` | the state of a run, as nested plain data |
| `save`, `load` | any named arrays, written so that a crash cannot spoil the old file |
| `lr_find` | try learning rates over several decades |
"""

from .callbacks import Callback, EarlyStopping, Log
from .checkpoint import Checkpoint, load_checkpoint
from .files import load, load_weights, save, save_weights
from .fit import evaluate, fit, predict
from .history import History
from .lr_find import lr_find
from .metrics import accuracy, binary_accuracy
from .run import Run
from .schedule import Schedule

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "Log",
    "Run",
    "Schedule",
    "accuracy",
    "binary_accuracy",
    "evaluate",
    "fit",
    "load",
    "load_checkpoint",
    "load_weights",
    "lr_find",
    "predict",
    "save",
    "save_weights",
]
