"""The table that benchmarks/regularization.py works through: for each method what it changes, and how strongly.

An entry is Method(what changes, given a strength s and a task t; the strengths that were tried; the best one for the
digits; and for other images). How they were tried: see `--search` there. Methods without strengths have no choice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from minidl import data, nn, optim, train
from minidl.data import augment


@dataclass
class Task:
    """Images, and how they are learnt: `size` of the pool's by each seed, tested on a set that is always the same."""

    name: str
    pool: data.Dataset
    test: data.Dataset
    size: int
    batch: int
    epochs: int
    lr: float
    width: int
    mirror: bool  # is a mirrored image still one of its class?

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.pool.x.shape[1:]


@dataclass
class Parts:
    """A run: what is here is without regularisation, and a method changes some of it."""

    net: dict = field(default_factory=dict)  # arguments of the network
    transforms: list = field(default_factory=list)
    callbacks: list = field(default_factory=list)
    loss: Callable = field(default_factory=nn.CrossEntropyLoss)
    optimizer: Callable = lambda parameters, lr: optim.SGD(parameters, lr, momentum=0.9)
    lr: float = 1.0  # times the task's
    schedule: Callable = optim.lr_scheduler.CosineAnnealingLR  # of (optimizer, epochs)
    held_out: float = 0.0  # share of the training images that are only looked at


@dataclass
class Method:
    """One way to regularise, and how strongly."""

    parts: Callable[[float, Task], Parts]
    tried: tuple[float, ...] = (1,)
    digits: float = 1
    images: float = 1

    def strength(self, task: Task) -> float:
        """The chosen one."""
        return self.digits if task.name == "digits" else self.images


def shifts(task: Task) -> list:
    """Moved by up to an eighth of the side; mirrored too, where that leaves an image in its class."""
    side = task.shape[1]
    return [augment.RandomHorizontalFlip()] * task.mirror + [augment.RandomCrop(side, padding=side // 8)]


def flat_end(share: float) -> Callable:
    """A schedule for averages: down to a share of the rate in half of the epochs, and then no further."""
    return lambda optimizer, epochs: optim.lr_scheduler.SWALR(
        optimizer, share * optimizer.param_groups[0]["lr"], anneal_epochs=epochs // 2
    )


def dropped(p: float) -> dict:
    """Dropout before the last layer."""
    return {"head": lambda: nn.Dropout(p)}


def after_blocks(layer: Callable, *options) -> dict:
    """A layer after each residual block."""
    return {"features": lambda: layer(*options)}


METHODS = {
    "none": Method(lambda s, t: Parts()),
    "L1": Method(lambda s, t: Parts(callbacks=[train.Penalty(l1=s)]), (3e-4, 1e-3, 3e-3), 1e-3, 1e-3),
    "L2": Method(lambda s, t: Parts(callbacks=[train.Penalty(l2=s)]), (1e-2, 3e-2, 1e-1), 3e-2, 3e-2),
    "elastic net": Method(
        lambda s, t: Parts(callbacks=[train.Penalty(elastic=(s, 10))]), (1e-4, 3e-4, 1e-3), 3e-4, 1e-3
    ),
    "AdamW": Method(
        lambda s, t: Parts(optimizer=lambda p, lr: optim.AdamW(p, lr / 10, weight_decay=s)), (0.5, 2.0, 5.0), 2.0, 2.0
    ),
    "max-norm": Method(lambda s, t: Parts(callbacks=[train.MaxNorm(s)]), (0.3, 0.5, 0.75), 0.5, 0.5),
    "dropout": Method(lambda s, t: Parts(dropped(s)), (0.5, 0.7, 0.8), 0.7, 0.5),
    "dropout, max-norm": Method(
        lambda s, t: Parts(dropped(0.5), callbacks=[train.MaxNorm(s)]), (0.5, 0.75, 1.0), 0.75, 1.0
    ),
    "spatial dropout": Method(lambda s, t: Parts(after_blocks(nn.Dropout2d, s)), (0.05, 0.1, 0.2), 0.1, 0.2),
    "DropBlock": Method(lambda s, t: Parts(after_blocks(nn.DropBlock2d, s, 3)), (0.02, 0.05, 0.1), 0.05, 0.1),
    "stochastic depth": Method(lambda s, t: Parts({"drop_path": s}), (0.1, 0.3, 0.5), 0.5, 0.5),
    "R-Drop": Method(  # its loss is the sum of two, so that half the rate makes a step of the usual length
        lambda s, t: Parts(dropped(0.5), callbacks=[train.RDrop(s)], lr=0.5), (1.0, 3.0, 10.0), 3.0, 1.0
    ),
    "batch norm": Method(lambda s, t: Parts({"norm": nn.BatchNorm2d})),
    "label smoothing": Method(
        lambda s, t: Parts(loss=nn.CrossEntropyLoss(label_smoothing=s)), (0.1, 0.2, 0.3), 0.2, 0.3
    ),
    "early stopping": Method(
        lambda s, t: Parts(callbacks=[train.EarlyStopping("val_accuracy", s)], held_out=0.2), (3, 6, 12), 6, 12
    ),
    "SWA": Method(lambda s, t: Parts(callbacks=[train.SWA(0.5)], schedule=flat_end(s)), (0.5, 1.0, 2.0), 2.0, 0.5),
    "EMA": Method(lambda s, t: Parts(callbacks=[train.EMA(0.98)], schedule=flat_end(s)), (0.5, 1.0, 2.0), 2.0, 0.5),
    "SAM": Method(lambda s, t: Parts(callbacks=[train.SAM(s)]), (0.05, 0.1, 0.15), 0.15, 0.05),
    "crops and flips": Method(lambda s, t: Parts(transforms=shifts(t))),
    "crops and flips, SWA": Method(
        lambda s, t: Parts(transforms=shifts(t), callbacks=[train.SWA(0.5)], schedule=flat_end(s)), (0.5, 1, 2), 1, 0.5
    ),
    "cutout": Method(
        lambda s, t: Parts(transforms=[augment.Cutout(int(s * t.shape[1]))]), (0.25, 0.375, 0.5), 0.25, 0.375
    ),
    "RandAugment": Method(lambda s, t: Parts(transforms=[augment.RandAugment(2, s)]), (6, 9, 14), 9, 14),
    "AugMix": Method(  # with its consistency loss
        lambda s, t: Parts(callbacks=[train.AugMixConsistency(augment.AugMix(), s)]), (1, 4, 12), 1, 12
    ),
    "mixup": Method(lambda s, t: Parts(transforms=[augment.Mixup(s, num_classes=10)]), (0.2, 0.4, 1.0), 1.0, 1.0),
    "CutMix": Method(lambda s, t: Parts(transforms=[augment.CutMix(s, num_classes=10)]), (0.2, 0.4, 1.0), 0.4, 0.2),
}
