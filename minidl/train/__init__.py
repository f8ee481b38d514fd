"""The training loop with its callbacks; weights and checkpoints on disk.

| what | for |
|---|---|
| `fit` | train: the loop itself, on one screen |
| `evaluate`, `predict` | loss and metrics on data; outputs for data |
| `predict_tta` | test-time augmentation: outputs averaged over views of each sample |
| `Callback`, `Run` | take part in the loop: nine moments, and what they see |
| `EarlyStopping`, `Checkpoint`, `Schedule`, `Log` | the callbacks that most runs want |
| `Penalty`, `MaxNorm` | what the weights pay for being large; a bound that they never cross |
| `SAM` | the gradient of the worst place nearby |
| `EMA`, `Polyak`, `SWA`, `update_bn` | averages of the weights; batch norm's statistics measured anew for them |
| `CurriculumDropout`, `RDrop` | dropout that sets in slowly; two masks whose predictions shall agree |
| `AugMixConsistency` | an image and its augmentations shall get the same prediction |
| `History` | what happened, as rows of plain data |
| `accuracy`, `binary_accuracy` | metrics |
| `bias_variance` | why models err: too stiff, too nervous, or noisy data |
| `save_weights`, `load_weights` | a model's weights as a safetensors file |
| `load_checkpoint` | the state of a run, as nested plain data |
| `save`, `load` | any named arrays, written so that a crash cannot spoil the old file |
| `lr_find` | try learning rates over several decades |
"""

from .averaging import EMA, SWA, Polyak
from .bias_variance import bias_variance
from .callbacks import Callback, EarlyStopping, Log
from .checkpoint import Checkpoint, load_checkpoint
from .consistency import AugMixConsistency
from .curriculum import CurriculumDropout
from .files import load, load_weights, save, save_weights
from .fit import evaluate, fit, predict
from .history import History
from .lr_find import lr_find
from .max_norm import MaxNorm
from .metrics import accuracy, binary_accuracy
from .penalty import Penalty
from .r_drop import RDrop
from .run import Run
from .sam import SAM
from .schedule import Schedule
from .tta import predict_tta
from .update_bn import update_bn

__all__ = [
    "EMA",
    "SAM",
    "SWA",
    "AugMixConsistency",
    "Callback",
    "Checkpoint",
    "CurriculumDropout",
    "EarlyStopping",
    "History",
    "Log",
    "MaxNorm",
    "Penalty",
    "Polyak",
    "RDrop",
    "Run",
    "Schedule",
    "accuracy",
    "bias_variance",
    "binary_accuracy",
    "evaluate",
    "fit",
    "load",
    "load_checkpoint",
    "load_weights",
    "lr_find",
    "predict",
    "predict_tta",
    "save",
    "save_weights",
    "update_bn",
]
