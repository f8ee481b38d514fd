"""Pictures of training runs, models and graphs, with matplotlib.

| picture | text or plain data behind it |
|---|---|
| `curves`, `curve`: loss and metrics by epoch | `history_columns`, `best_epoch` |
| `validation_curve`, `learning_curve`: scores by a parameter, by the size of the training set | |
| `bias_variance`: the parts of the expected error by complexity | `train.bias_variance` |
| `decision_boundary`: what a classifier believes in the plane | `belief_map` |
| `graph`: the recorded computation graph | `graph_text`, `graph_dot`, `trace` |
| `histograms`, `inspect`: activations, gradients, dead and saturated units, layer by layer | `collect_layers` |
| `update_ratios`: size of the steps relative to the weights | `UpdateRatios`, a callback of `fit` |
| `signal`: does it survive a deep network, by initialiser | `collect_signal` |
| `function_and_gradient`: activation functions | `values_and_gradients` |
| `images`, `filters`: sheets of small pictures | `find_mistakes` |
| `confusion_matrix` | `confusion_counts`, `confusion_table` |
| `training_report`: one picture of a run, written to a file | |

`viz.style` has the colours and the dressing of axes, for figures of your own.

Pictures with one panel take `ax=` and return the Axes; those with several take `fig=` (a Figure or SubFigure) and
return it. Without, they make a new figure with pyplot and leave showing it to you. Looking changes nothing: modes,
running statistics, gradients, random streams, hooks, rcParams and the backend are afterwards what they were.
"""

from .activations import function_and_gradient, values_and_gradients
from .boundary import belief_map, decision_boundary
from .confusion import confusion_counts, confusion_matrix, confusion_table
from .graph_picture import graph
from .graph_trace import Vertex, graph_dot, graph_text, trace
from .history import best_epoch, curve, curves, history_columns
from .initialisation import collect_signal, signal
from .layer_pictures import histograms, inspect
from .layers import collect_layers, dead_units, saturation
from .overfitting import bias_variance, learning_curve, validation_curve
from .pictures import filters, find_mistakes, images
from .report import training_report
from .updates import UpdateRatios, update_ratios

__all__ = [
    "UpdateRatios", "Vertex", "belief_map", "best_epoch", "bias_variance", "collect_layers", "collect_signal",
    "confusion_counts", "confusion_matrix", "confusion_table", "curve", "curves", "dead_units", "decision_boundary",
    "filters", "find_mistakes", "function_and_gradient", "graph", "graph_dot", "graph_text", "histograms",
    "history_columns", "images", "inspect", "learning_curve", "saturation", "signal", "trace", "training_report",
    "update_ratios", "validation_curve", "values_and_gradients",
]  # fmt: skip
