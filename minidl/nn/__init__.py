"""Layers, models, losses and initialisers. `nn.functional` has each layer and loss as a plain function."""

from . import functional, init
from .activation import ELU, GELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Softplus, Swish, Tanh
from .container import ModuleDict, ModuleList, Sequential
from .conv import Conv2d, ConvTranspose2d
from .drop_block import DropBlock2d
from .drop_connect import DropConnect
from .dropout import Dropout, Dropout1d, Dropout2d, VanillaDropout
from .flatten import Flatten, Identity
from .group_norm import AdaGN, GroupNorm, InstanceNorm1d, InstanceNorm2d
from .layer_norm import LayerNorm
from .linear import Linear
from .loss import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    EpsilonInsensitiveLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    MultiMarginLoss,
    NLLLoss,
    SmoothL1Loss,
)  # fmt: skip
from .mixout import Mixout
from .module import Module
from .norm import BatchNorm1d, BatchNorm2d, Norm
from .parameter import Parameter
from .pool import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from .regularize import elastic_penalty, l1_penalty, l2_penalty, penalty, regularized, weights
from .residual import Residual
from .shrinkage import l1_shrinkage, l2_shrinkage, soft_threshold
from .stochastic_depth import DropPath, LayerDrop, linear_depth

__all__ = [
    "AdaGN", "AdaptiveAvgPool2d", "AvgPool2d", "BCELoss", "BCEWithLogitsLoss", "BatchNorm1d", "BatchNorm2d",
    "Conv2d", "ConvTranspose2d", "CrossEntropyLoss", "DropBlock2d", "DropConnect", "DropPath", "Dropout",
    "Dropout1d", "Dropout2d", "ELU", "EpsilonInsensitiveLoss", "Flatten", "GELU", "GroupNorm", "HuberLoss",
    "Identity", "InstanceNorm1d", "InstanceNorm2d", "KLDivLoss", "L1Loss", "LayerDrop", "LayerNorm", "LeakyReLU",
    "Linear", "LogSoftmax", "MSELoss", "MaxPool2d", "Mixout", "Module", "ModuleDict", "ModuleList",
    "MultiMarginLoss", "NLLLoss", "Norm", "Parameter", "ReLU", "Residual", "Sequential", "SiLU", "Sigmoid",
    "SmoothL1Loss", "Softmax", "Softplus", "Swish", "Tanh", "VanillaDropout", "elastic_penalty", "functional",
    "init", "l1_penalty", "l1_shrinkage", "l2_penalty", "l2_shrinkage", "linear_depth", "penalty", "regularized",
    "soft_threshold", "weights",
]  # fmt: skip
