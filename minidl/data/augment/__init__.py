"""Augmentation: transforms that make new samples from a batch, `transform(x, y, rng) -> (x, y)`, as everything in
`minidl.data.transforms`.

Images are float arrays (N, C, H, W), from 0 to 1 where their light matters; each image of a batch gets its own draw.
A transform may write into the x that it is given, for the DataLoader has just made it. Whoever calls one by hand, on an
array that is still needed, gives it a copy.

>>> import numpy as np
>>> from minidl import data
>>> from minidl.data import augment
>>> digits = data.load_digits()
>>> loader = data.DataLoader(digits, 64, shuffle=True, transform=data.Compose([
...     augment.RandomCrop(8, padding=1), augment.Cutout(3), augment.Mixup(0.2, num_classes=10)]))
>>> images, labels = next(iter(loader))
>>> images.shape, labels.shape
((64, 1, 8, 8), (64, 10))
>>> by_hand, _ = augment.RandomRotation(15)(digits.x[:4].copy(), None, np.random.default_rng(0))
"""

from .audio import AddNoise, CutSplice, RandomClip, SwapSplice
from .augmix import AugMix
from .back_translation import BackTranslation
from .blur import GaussianBlur, MotionBlur
from .colour import (
    ColorJitter,
    PCAColor,
    RandomAdjustSharpness,
    RandomAutocontrast,
    RandomEqualize,
    RandomGrayscale,
    RandomInvert,
    RandomPosterize,
    RandomShadow,
    RandomSolarize,
)
from .copy_paste import CopyPaste
from .crop import CenterCrop, RandomCrop, five_crop, ten_crop
from .distort import ElasticTransform, LensDistortion, RandomPerspective
from .erase import Cutout, RandomErasing
from .geometric import RandomAffine, RandomHorizontalFlip, RandomRotation, RandomVerticalFlip
from .mix import CutMix, Mixup
from .mosaic import Mosaic
from .noise import GaussianNoise, SaltAndPepper, SpeckleNoise
from .policies import AutoAugment, RandAugment, TrivialAugmentWide, search_policy
from .resize import RandomResizedCrop, Resize
from .specaugment import FrequencyMask, SpecAugment, TimeMask, TimeWarp
from .spectrum import Spectrogram
from .stitch import HorizontalConcat, MixedConcat, RectangleMix, VerticalConcat, VHBCPlus, VHMixup
from .tabular import FeatureNoise, smote
from .text import EDA, RandomDeletion, RandomInsertion, RandomSwap, SynonymReplacement
from .views import crop_views, flip_views, scale_views
from .vocoder import PitchShift, TimeStretch

__all__ = [
    "EDA",
    "AddNoise",
    "AugMix",
    "AutoAugment",
    "BackTranslation",
    "CenterCrop",
    "ColorJitter",
    "CopyPaste",
    "CutMix",
    "CutSplice",
    "Cutout",
    "ElasticTransform",
    "FeatureNoise",
    "FrequencyMask",
    "GaussianBlur",
    "GaussianNoise",
    "HorizontalConcat",
    "LensDistortion",
    "MixedConcat",
    "Mixup",
    "Mosaic",
    "MotionBlur",
    "PCAColor",
    "PitchShift",
    "RandAugment",
    "RandomAdjustSharpness",
    "RandomAffine",
    "RandomAutocontrast",
    "RandomClip",
    "RandomCrop",
    "RandomDeletion",
    "RandomEqualize",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomInsertion",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterize",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomShadow",
    "RandomSolarize",
    "RandomSwap",
    "RandomVerticalFlip",
    "RectangleMix",
    "Resize",
    "SaltAndPepper",
    "SpecAugment",
    "SpeckleNoise",
    "Spectrogram",
    "SwapSplice",
    "SynonymReplacement",
    "TimeMask",
    "TimeStretch",
    "TimeWarp",
    "TrivialAugmentWide",
    "VHBCPlus",
    "VHMixup",
    "VerticalConcat",
    "crop_views",
    "five_crop",
    "flip_views",
    "scale_views",
    "search_policy",
    "smote",
    "ten_crop",
]
