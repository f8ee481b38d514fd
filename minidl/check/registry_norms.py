"""More of the table: normalisation within a sample, and distances between distributions."""

from __future__ import annotations

from . import oracles
from .case import distinct, each, normal, positive, probability, register

register(
    "nn.functional.layer_norm", oracles.layer_norm, [normal(4, 3), 3, normal(3), normal(3)],
    [normal(2, 3, 4), (3, 4), normal(3, 4), None, 0.1], [normal(2, 3, 4), 4, None, normal(4)], [normal(5), 5],
)  # fmt: skip
register(
    "nn.functional.group_norm", oracles.group_norm, [normal(3, 4), 2, normal(4), normal(4)],
    [normal(2, 6, 2), 3, normal(6), normal(6), 0.1], [normal(2, 4, 3, 2), 1, normal(4)],
    [normal(2, 2, 2, 2), 2, None, normal(2)],
)  # fmt: skip
register(
    "nn.functional.instance_norm", oracles.instance_norm, [normal(2, 3, 4), None, None, normal(3), normal(3)],
    [normal(2, 2, 3, 2)],
)  # fmt: skip
register(
    "nn.functional.instance_norm", oracles.instance_norm,
    [normal(2, 3, 2), normal(3), positive(3), normal(3), normal(3), False], constant=(1, 2),
)  # fmt: skip
register("nn.functional.kl_div", oracles.kl_div, *each(
    [normal(3, 4), probability(3, 4)], {"reduction": "mean"}, {"reduction": "none"}, {"reduction": "batchmean"}
), [normal(3, 4), normal(3, 4), {"log_target": True, "reduction": "sum"}])  # fmt: skip
register("nn.functional.symmetric_kl", oracles.symmetric_kl, *each(
    [normal(4, 3), normal(4, 3)], {"reduction": "mean"}, {"reduction": "none"}
), [normal(2, 3, 2), normal(2, 3, 2), {"reduction": "sum"}])  # fmt: skip
register("nn.functional.js_divergence", oracles.js_divergence, *each(
    [normal(4, 3), normal(4, 3), normal(4, 3)], {"reduction": "mean"}, {"reduction": "none"}
), [normal(2, 3, 2), normal(2, 3, 2), {"reduction": "sum"}])  # fmt: skip
register("nn.functional.epsilon_insensitive_loss", oracles.epsilon_insensitive, *each(
    [distinct(3, 4), distinct(3, 4, shift=0.13)], {"reduction": "mean"}, {"reduction": "none", "p": 2},
    {"reduction": "sum", "epsilon": 0.5},
), kinked=True)  # fmt: skip
