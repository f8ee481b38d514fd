"""A full training augmentation of 128 images of 3x32x32: minidl's, on whole batches, beside loops over single images.

    python benchmarks/augmentation.py [--threads 1 2] [--only all] [--contestants loop pillow] [--json FILE]

Flip, crop (padding 4), rotation (15 degrees, bilinear), colour jitter (brightness, contrast, saturation, hue) and
cutout (8x8), each image by its own draws. All begin with a batch of bytes and end with one of float32. The contestants:

    loop         minidl's transforms, called with one image at a time
    pillow       the usual chain on single images, written with Pillow and NumPy
    torchvision  its transforms.v2 on single Pillow images, as in its tutorials, where torchvision is installed

A row is one part alone, with the way from bytes to floats ("none"), or the whole chain. `ratio` is minidl's time
divided by that of the column, below 1 where minidl is faster. Before anything is timed, the parts are done with fixed
numbers, and the results must agree up to the rounding to bytes that the others do after each part. Last comes the share
of minidl's augmentation in a training step: of the time of both, one after the other.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import measure
import numpy as np
from contestants import MOMENTUM
from networks import NETWORKS

BATCH, SIZE, PADDING, HOLE = 128, 32, 4, 8
PARTS = "flip", "crop", "rotation", "colour", "cutout"


class Draws(NamedTuple):
    """What the random numbers are drawn from. light: brightness, contrast and saturation."""

    p: float = 0.5
    degrees: tuple[float, float] = (-15, 15)
    light: tuple[float, float] = (0.6, 1.4)
    hue: tuple[float, float] = (-0.1, 0.1)


def minidl(parts: Sequence[str], draws: Draws) -> Callable:
    """Bytes (N, C, H, W) -> float32, whole batches."""
    from minidl import data
    from minidl.data import augment

    transforms = {
        "flip": augment.RandomHorizontalFlip(draws.p), "crop": augment.RandomCrop(SIZE, PADDING),
        "rotation": augment.RandomRotation(draws.degrees), "cutout": augment.Cutout(HOLE),
        "colour": augment.ColorJitter(draws.light, draws.light, draws.light, draws.hue),
    }  # fmt: skip
    chain, rng = data.Compose([data.ToFloat(), *(transforms[part] for part in parts)]), np.random.default_rng(0)
    return lambda x: chain(x, None, rng)[0]


def loop(parts: Sequence[str], draws: Draws) -> Callable:
    """The same, one image at a time."""
    chain = minidl(parts, draws)
    return lambda x: np.concatenate([chain(x[i : i + 1]) for i in range(len(x))])


def pillow(parts: Sequence[str], draws: Draws) -> Callable:
    """Image by image: bytes, a Pillow image, the parts, floats, and there the cutout."""
    from PIL import Image, ImageEnhance, ImageOps

    rng = np.random.default_rng(0)
    enhancers = ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color

    def flip(image):
        return ImageOps.mirror(image) if rng.random() < draws.p else image

    def crop(image):
        left, top = rng.integers(0, 2 * PADDING + 1, 2).tolist()
        return ImageOps.expand(image, PADDING).crop((left, top, left + SIZE, top + SIZE))

    def rotation(image):
        return image.rotate(rng.uniform(*draws.degrees), Image.Resampling.BILINEAR)

    def hue(image):
        h, s, v = image.convert("HSV").split()
        h = Image.fromarray(np.asarray(h) + np.uint8(round(rng.uniform(*draws.hue) * 255) % 256))
        return Image.merge("HSV", (h, s, v)).convert("RGB")

    def colour(image):
        for k in rng.permutation(4):
            image = hue(image) if k == 3 else enhancers[k](image).enhance(rng.uniform(*draws.light))
        return image

    def augmented(image):
        image = Image.fromarray(image)
        for step in steps:
            image = step(image)
        image = np.divide(np.asarray(image).transpose(2, 0, 1), 255, dtype=np.float32)
        if "cutout" in parts:
            top, left = rng.integers(0, SIZE, 2) - HOLE // 2
            image[:, max(0, top) : top + HOLE, max(0, left) : left + HOLE] = 0
        return image

    known = {"flip": flip, "crop": crop, "rotation": rotation, "colour": colour}
    steps = [known[part] for part in parts if part in known]
    return lambda x: np.stack([augmented(image) for image in x.transpose(0, 2, 3, 1)])


def torchvision(parts: Sequence[str], draws: Draws) -> Callable:
    """Image by image, with torch's random numbers. Its random erasing stands for cutout."""
    import torch
    from PIL import Image
    from torchvision.transforms import InterpolationMode, v2

    finish = [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)]
    transforms = {
        "flip": v2.RandomHorizontalFlip(draws.p), "crop": v2.RandomCrop(SIZE, PADDING),
        "rotation": v2.RandomRotation(draws.degrees, InterpolationMode.BILINEAR),
        "colour": v2.ColorJitter(draws.light, draws.light, draws.light, draws.hue),
        "cutout": v2.RandomErasing(1, (HOLE**2 / SIZE**2,) * 2, (1, 1)),
    }  # fmt: skip
    early, late = ([transforms[part] for part in parts if (part == "cutout") == is_late] for is_late in (False, True))
    chain = v2.Compose(early + finish + late)
    return lambda x: torch.stack([chain(Image.fromarray(image)) for image in x.transpose(0, 2, 3, 1)]).numpy()


CONTESTANTS = {"loop": (loop, ()), "pillow": (pillow, ("PIL",)), "torchvision": (torchvision, ("torch", "torchvision"))}


def reason_for_absence(name: str) -> str | None:
    """Why this contestant cannot run here; None if it can."""
    try:
        for library in CONTESTANTS[name][1]:
            importlib.import_module(library)
    except Exception as error:  # a torchvision that does not fit the torch that is here fails in its own way
        return f"it does not load here ({str(error).splitlines()[0]})"
    return None


def images(n: int = BATCH) -> np.ndarray:
    """Bytes (N, C, H, W): coloured waves, so that a wrong colour or place shows."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    a, b, phase = rng.uniform(0, 6, (3, n, 3, 1, 1))
    return np.uint8(127.5 + 127.5 * np.sin(a * x + b * y + phase))


def check_equal(names: Sequence[str]) -> None:
    """Without chance the contestants return the same up to two of 256 levels, or the program ends here.

    Inside, that is: at the edge of a rotated image minidl fades to black, and the others cut off.
    """
    neutral = Draws(p=0.0, degrees=(0, 0), light=(1, 1), hue=(0, 0))
    fixed = [
        ((), neutral), (("flip",), neutral._replace(p=1.0)), (("rotation",), neutral._replace(degrees=(10, 10))),
        (("colour",), neutral._replace(light=(0.8, 0.8))), (("colour",), neutral._replace(hue=(0.1, 0.1))),
    ]  # fmt: skip
    x = images(16)
    for parts, draws in fixed:
        expected = minidl(parts, draws)(x)
        for name in names:
            difference = CONTESTANTS[name][0](parts, draws)(x) - expected
            error = 255 * float(np.abs(difference[:, :, 6:-6, 6:-6]).mean())
            if not error < 2:
                raise SystemExit(f"{name} computes something else: {parts} {draws} is {error:.1f} levels away")


def steps(batch: int) -> Iterator[tuple[str, Callable]]:
    """A whole training step of the VGG of steps.py, and of `minidl.models.cnn`."""
    from minidl import models, nn, optim, tensor

    shape = NETWORKS["vgg"].shape
    for name, model in (("vgg", NETWORKS["vgg"].make(nn)), ("cnn", models.cnn(shape, 10))):
        x, y = map(tensor, NETWORKS["vgg"].batch(batch))
        optimizer, criterion = optim.SGD(model.parameters(), lr=1e-6, momentum=MOMENTUM), nn.CrossEntropyLoss()

        def step(model=model, optimizer=optimizer, criterion=criterion, x=x, y=y):
            optimizer.zero_grad()
            criterion(model(x), y).backward()
            optimizer.step()

        yield name, step


def tables(options) -> list[dict]:
    """Both tables for one setting, measured in this process."""
    absent = {name: why for name in options.contestants if (why := reason_for_absence(name))}
    others = [name for name in options.contestants if name not in absent]
    check_equal(others)
    print(f"\n{measure.describe(measure.machine())}")
    print(f"{options.batch} images of 3x{SIZE}x{SIZE}, milliseconds, medians of alternating blocks")
    for name, why in absent.items():
        print(f"without {name}: {why}")
    titles = [title for name in others for title in (f" {name:>8} ms", " ratio", "  quartiles")]
    table, rows, x = measure.Table("part    ", " minidl ms", *titles), [], images(options.batch)
    for part in options.only:
        parts = {"none": (), "all": PARTS}.get(part, (part,))
        calls = {"minidl": minidl, **{name: CONTESTANTS[name][0] for name in others}}
        calls = {name: partial(make(parts, Draws()), x) for name, make in calls.items()}
        rows.append({"part": part} | measure.summary(measure.alternate(calls, options.seconds)))
        table.row(part, f"{rows[-1]['ms']['minidl']:.3f}", *cells(rows[-1], others))
    augment = minidl(PARTS, Draws())
    table = measure.Table("step    ", " step ms", " augmentation ms", " share")
    for name, step in steps(options.batch):
        times = measure.alternate({"augmentation": lambda: augment(x), "step": step}, options.seconds)
        ms = {key: 1e3 * float(np.median(t)) for key, t in times.items()}
        rows.append({"step": name, "ms": ms, "share": ms["augmentation"] / (ms["augmentation"] + ms["step"])})
        table.row(name, f"{ms['step']:.2f}", f"{ms['augmentation']:.2f}", f"{rows[-1]['share']:.1%}")
    return rows


def cells(row: dict, others: list[str]) -> Iterator[str]:
    """Time, ratio and its quartiles for every other contestant."""
    for name in others:
        low, high = row["ratio_quartiles"][name]
        yield from (f"{row['ms'][name]:.2f}", f"{row['ratio'][name]:.3f}", f"{low:.3f}-{high:.3f}")


def main() -> None:
    parser = measure.arguments(__doc__, seconds=1.0)
    rows = "none", *PARTS, "all"
    parser.add_argument("--only", nargs="+", choices=rows, default=rows, metavar="PART", help=f"of {', '.join(rows)}")
    parser.add_argument("--contestants", nargs="*", choices=CONTESTANTS, default=list(CONTESTANTS), help="these")
    parser.add_argument("--batch", type=int, default=BATCH, help="how many images")
    measure.each_setting(tables, parser.parse_args())


if __name__ == "__main__":
    main()
