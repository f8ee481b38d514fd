"""Does it help? Every regulariser on one small network, with so few images that the network learns them by heart.

    python benchmarks/regularization.py                                 the digits of the package: some minutes
    python benchmarks/regularization.py --data cifar10_excerpt.npz      and images from a file: half an hour
    python benchmarks/regularization.py --methods none mixup --seeds 10 --epochs 100

A seed chooses the training images, the first weights and the order of the batches, the same for all methods, so that
each is compared with "none" seed by seed: `over none` is the mean of the differences and its standard error. `test` is
the accuracy on images that nothing was chosen by, `gap` that on the training images, as they are and without dropout,
minus `test`; both with the standard deviation over the seeds. `zero` is the share of the weights below 1e-3 in size.
All methods make equally many passes over the training images (but early stopping); `seconds` says what else they cost.

The strengths were chosen once (benchmarks/regularizers.py), with seeds that are not used here and on images that are
neither learnt nor tested: `--search --seeds 2` does it again (one seed for images). A run goes into a JSON file in
--out as soon as it ends and is not done twice, so an interrupted command goes on. FILE is a NumPy archive of x_train,
y_train, x_test, y_test, the x bytes (N, C, 32, 32).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import measure
import numpy as np
from regularizers import METHODS, Task

import minidl
from minidl import data, nn, train

SEARCH_SEEDS = 1001  # and the following: not those that are reported
SMALL = 1e-3  # the size below which a weight counts as zero

PUBLISHED = {  # what should come out: a column of one method is above that of another
    "L1 makes more weights zero than L2 (Tibshirani 1996)": ("L1", "zero", "L2", "zero"),
    "SWA is above the last weights of its run (Izmailov et al. 2018)": ("SWA", "test", "SWA", "last"),
    "SWA is above the last weights of its run, with crops and flips": (
        "crops and flips, SWA", "test", "crops and flips, SWA", "last"
    ),
    "SWA is above a rate that falls to zero": ("SWA", "test", "none", "test"),
    "SWA is above it with crops and flips, too": ("crops and flips, SWA", "test", "crops and flips", "test"),
    "mixup is above none (Zhang et al. 2018)": ("mixup", "test", "none", "test"),
    "CutMix is above none (Yun et al. 2019)": ("CutMix", "test", "none", "test"),
    "crops and flips are above none": ("crops and flips", "test", "none", "test"),
    "dropout is above none (Srivastava et al. 2014)": ("dropout", "test", "none", "test"),
    "SAM is above none (Foret et al. 2021)": ("SAM", "test", "none", "test"),
}


def digits() -> Task:
    """200 of 1,000 digits to learn, the other 797 to test."""
    pool, test = data.split(data.load_digits(), (1000, 797), stratify=True, rng=0)
    return Task("digits", pool, test, size=200, batch=25, epochs=40, lr=0.03, width=8, mirror=False)


def images(file: str) -> Task:
    """1,000 of the file's training images to learn, all of its test images to test."""
    with np.load(file, allow_pickle=False) as parts:
        x = {part: parts[f"x_{part}"].astype(np.float32) / 255 for part in ("train", "test")}
        pool, test = (data.Dataset(x[part], parts[f"y_{part}"].astype(np.int64)) for part in ("train", "test"))
    return Task(Path(file).stem, pool, test, size=1000, batch=50, epochs=27, lr=0.03, width=12, mirror=True)


class Standardise(nn.Module):
    """(x - mean) / std by channel, so that everything before the network sees images from 0 to 1."""

    def __init__(self, images: np.ndarray) -> None:
        super().__init__()
        self.transform = data.Normalize.fit(images)

    def forward(self, x):
        return minidl.Tensor(self.transform(x.numpy(), None, None)[0])


def network(
    task: Task, x: np.ndarray, norm=None, features=nn.Identity, head=nn.Identity, drop_path: float = 0.0
) -> nn.Module:
    """Four residual blocks in two stages, and one affine layer.

    x: the training images, to standardise by. norm: after each convolution; features: after each block; head: before
    the affine layer; drop_path: the rate of the last block. None of these has an influence on the first weights.
    """
    rates = iter(nn.linear_depth(drop_path, 4))

    def conv(inputs, outputs, stride=1):
        return [nn.Conv2d(inputs, outputs, 3, stride, padding=1), *([norm(outputs)] if norm else [])]

    def block(width):
        body = nn.Sequential(*conv(width, width), nn.ReLU(), *conv(width, width))
        return [nn.Residual(body, drop_path=next(rates), activation=nn.ReLU()), features()]

    (channels, side, _), w = task.shape, task.width
    stem = [*conv(channels, w, 2), nn.ReLU(), nn.MaxPool2d(2)] if side == 32 else [*conv(channels, w), nn.ReLU()]
    return nn.Sequential(
        Standardise(x), *stem, *block(w), *block(w),
        *conv(w, 2 * w), nn.ReLU(), nn.MaxPool2d(2), *block(2 * w), *block(2 * w),
        nn.Flatten(), head(), nn.Linear(2 * w * 4 * 4, 10),
    )  # fmt: skip


def learn(task: Task, name: str, seed: int, strength: float, test: data.Dataset | None) -> dict:
    """One run. test: None for the images of the pool that this seed does not learn."""
    parts = METHODS[name].parts(strength, task)
    chosen, rest = data.split(task.pool, (task.size, len(task.pool) - task.size), stratify=True, rng=seed)
    learnt, watched = chosen, None
    if parts.held_out:
        learnt, watched = data.split(chosen, (1 - parts.held_out, parts.held_out), stratify=True, rng=seed)
    minidl.manual_seed(seed)
    model, last = network(task, chosen.x, **parts.net), {}

    def accuracy(part: data.Dataset) -> float:
        return train.evaluate(model, part, metrics="accuracy", batch_size=100)["accuracy"]

    before_averages = train.Callback(on_fit_end=lambda run: last.update(last=accuracy(test or rest)))
    loader = data.DataLoader(learnt, task.batch, shuffle=True, transform=data.Compose(parts.transforms))
    optimizer = parts.optimizer(model.parameters(), parts.lr * task.lr)
    start = time.perf_counter()
    history = train.fit(
        model, loader, loss=parts.loss, optimizer=optimizer, epochs=task.epochs, clip=5.0, metrics="accuracy",
        schedule=parts.schedule(optimizer, task.epochs), validation=watched,
        callbacks=[before_averages, *parts.callbacks], progress=False,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    sizes = np.abs(np.concatenate([w.numpy().ravel() for w in nn.weights(model)]))
    return {
        "method": name, "strength": strength, "seed": seed, "epochs": task.epochs, "trained": len(history),
        "train": accuracy(chosen), "test": accuracy(test or rest), **last, "zero": float((sizes < SMALL).mean()),
        "seconds": seconds,
    }  # fmt: skip


class Book:
    """The runs that have been done, in a JSON file that is written anew after each."""

    def __init__(self, file: Path) -> None:
        self.file, self.rows = file, []
        if file.is_file():
            self.rows = json.loads(file.read_text())["rows"]

    def row(self, task: Task, name: str, seed: int, strength: float, test: data.Dataset | None) -> dict:
        """What `learn` returns, from the book where it is there."""
        wanted = {"method": name, "strength": strength, "seed": seed, "epochs": task.epochs}
        found = next((row for row in self.rows if wanted.items() <= row.items()), None)
        return found or self._write(learn(task, name, seed, strength, test))

    def _write(self, row: dict) -> dict:
        self.rows.append(row)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        whole = {"benchmark": Path(__file__).name, "machine": measure.machine(), "rows": self.rows}
        unfinished = self.file.with_suffix(".part")
        unfinished.write_text(json.dumps(whole, indent=1))
        unfinished.replace(self.file)
        return row


def run(task: Task, names: list[str], seeds: int, book: Book) -> dict[str, list[dict]]:
    """The rows of each method, seed by seed."""
    rows: dict[str, list[dict]] = {name: [] for name in names}
    for seed in range(seeds):
        for name in names:
            rows[name].append(book.row(task, name, seed, METHODS[name].strength(task), task.test))
        seconds = sum(rows[name][-1]["seconds"] for name in names)
        print(f"{task.name}, seed {seed}: {len(names)} runs, {seconds:.0f} s of training", flush=True)
    return rows


def search(task: Task, names: list[str], seeds: int, book: Book) -> None:
    """Print the accuracy of each strength, the best one marked."""
    for name in names:
        strengths, means = METHODS[name].tried, []
        if len(strengths) == 1 and name != "none":
            continue
        for strength in strengths:
            rows = [book.row(task, name, seed, strength, None) for seed in range(SEARCH_SEEDS, SEARCH_SEEDS + seeds)]
            means.append(float(np.mean([row["test"] for row in rows])))
        cells = [f"{s:>7g}: {100 * m:.1f} %{' *'[m == max(means)]}" for s, m in zip(strengths, means, strict=True)]
        print(f"{name:<20}", *cells, flush=True)


def column(rows: list[dict], key: str) -> np.ndarray:
    """One value for each seed, in per cent."""
    return 100 * np.array([row["train"] - row["test"] if key == "gap" else row[key] for row in rows])


def difference(values: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """The mean of the differences, and its standard error."""
    d = values - others
    return float(d.mean()), float(d.std(ddof=1) / len(d) ** 0.5) if len(d) > 1 else float("nan")


def spread(values: np.ndarray) -> str:
    return f"{values.mean():.1f} ± {values.std(ddof=min(1, len(values) - 1)):.1f}"


def report(task: Task, rows: dict[str, list[dict]]) -> None:
    """The table, best method first, and what was published beside what came out."""
    print(f"\n{task.name}: {task.size} training images, {task.epochs} epochs, accuracies in per cent")
    table = measure.Table("method              ", " strength", "       test", "   over none", " train", "        gap",
                          "  zero", " seconds")  # fmt: skip
    none = column(rows["none"], "test") if "none" in rows else None
    for name in best_first(rows):
        test, over = column(rows[name], "test"), ""
        if none is not None and name != "none":
            over = "{:+.1f} ± {:.1f}".format(*difference(test, none))
        strength = f"{METHODS[name].strength(task):g}" if len(METHODS[name].tried) > 1 else ""
        table.row(name, strength, spread(test), over, f"{column(rows[name], 'train').mean():.1f}",
                  spread(column(rows[name], "gap")), f"{column(rows[name], 'zero').mean():.1f}",
                  f"{np.mean([row['seconds'] for row in rows[name]]):.1f}")  # fmt: skip
    print("\npublished directions (holds, reversed: by more than two standard errors of the mean difference)")
    for claim, (one, key, other, same) in PUBLISHED.items():
        if one in rows and other in rows:
            mean, error = difference(column(rows[one], key), column(rows[other], same))
            verdict = "holds" if mean > 2 * error else "reversed" if mean < -2 * error else "undecided"
            print(f"  {verdict:<9}  {mean:+5.1f} ± {error:.1f}  {claim}")


def best_first(rows: dict[str, list[dict]]) -> list[str]:
    return sorted(rows, key=lambda name: -column(rows[name], "test").mean())


def picture(results: list[tuple[Task, dict[str, list[dict]]]], path: str) -> None:
    """For each task two panels, test accuracy and gap: a dot for each seed and a bar at the mean, best method first."""
    import matplotlib

    matplotlib.use("agg")
    from minidl.viz import style

    most = max(len(rows) for _, rows in results)
    fig = style.figure(None, (6.5 * len(results), 1.6 + 0.23 * most))
    for part, (task, rows) in zip(np.atleast_1d(fig.subfigures(1, len(results))), results, strict=True):
        names = best_first(rows)
        for ax, key, colour in zip(part.subplots(1, 2, sharey=True), ("test", "gap"), (style.BLUE, style.VERMILLION),
                                   strict=True):  # fmt: skip
            for place, name in enumerate(names):
                values = column(rows[name], key)
                shade = style.GREY if name == "none" else colour
                ax.plot(values, [place] * len(values), "o", color=style.faded(shade, 0.55), markersize=3.5)
                ax.vlines(values.mean(), place - 0.36, place + 0.36, color=shade, linewidth=2)
            if "none" in rows:
                ax.axvline(column(rows["none"], key).mean(), color=style.GREY, linewidth=0.8, linestyle=":")
            style.dress(ax, *{
                "test": (f"{task.name}: {task.size} images", "test accuracy (%)"),
                "gap": ("Over-fitting", "training minus test accuracy (%)"),
            }[key], grid="x")  # fmt: skip
            ax.set_yticks(range(len(names)), names)
            ax.set_ylim(len(names) - 0.4, -0.6)
    fig.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="*", default=[], metavar="FILE", help="images, beside the digits")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="instead of each task's own number")
    parser.add_argument("--search", action="store_true", help="try the strengths, and nothing else")
    parser.add_argument("--out", type=Path, default=Path("runs"), metavar="FOLDER", help="for the JSON files")
    parser.add_argument("--picture", metavar="FILE", help="draw all that was run")
    options = parser.parse_args()
    print(measure.describe(measure.machine()))
    results = []
    for task in (digits(), *map(images, options.data)):
        task.epochs = options.epochs or task.epochs
        book = Book(options.out / f"regularization_{task.name}{'_search' * options.search}.json")
        if options.search:
            search(task, options.methods, options.seeds, book)
            continue
        results.append((task, run(task, options.methods, options.seeds, book)))
        report(*results[-1])
    if options.picture and results:
        picture(results, options.picture)


if __name__ == "__main__":
    main()
