"""Train a network and write its weights, history and a picture into a folder.

With no arguments: a small convolutional network on the 8x8 digits that ship with the package.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .. import data, manual_seed, models, nn, optim, train

# what is tried first: it reaches good accuracy in a few seconds (points, digits) or minutes (MNIST, CIFAR-10)
EPOCHS = {"digits": 15, "mnist": 3, "fashion_mnist": 5, "cifar10": 10, "shapes": 5}
POINT_EPOCHS = 60
DEFAULTS = {"dataset": "digits", "model": None, "epochs": None, "batch_size": 32, "lr": 0.01, "seed": 0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything has a default; those of a resumed run are what it was started with."""
    parser.add_argument("dataset", nargs="?", choices=data.SETS, metavar="dataset", help=", ".join(data.SETS))
    parser.add_argument("--model", choices=sorted(models.MODELS), help="cnn for images, mlp for points")
    parser.add_argument("--epochs", type=_positive(int))
    parser.add_argument("--batch-size", type=_positive(int))
    parser.add_argument("--lr", type=_positive(float), help="the highest learning rate of the one-cycle schedule")
    parser.add_argument("--seed", type=int, help="of the split, the first weights, the shuffling and dropout")
    parser.add_argument("--data", metavar="FOLDER", help="where the files of published sets are (or MINIDL_DATA)")
    parser.add_argument("--out", metavar="FOLDER", help="where to write; the default is a new folder under runs/")
    parser.add_argument("--resume", action="store_true", help="go on with the run in the folder --out")


def run(args: argparse.Namespace) -> int:
    """Train, evaluate, report."""
    out, config = _resumed(args) if args.resume else _new(args)
    manual_seed(config["seed"])
    train_set, test_set = data.load_train_test(config["dataset"], root=args.data, rng=config["seed"])
    classes = len(train_set.classes)
    model = models.MODELS[config["model"]](train_set.x.shape[1:], classes)
    print(
        f"{config['model']} with {sum(p.size for p in model.parameters()):,} parameters "
        f"on {train_set.name.removesuffix(' train')}: "
        f"{len(train_set):,} samples to train on, {len(test_set):,} to test on"
    )
    history = _fit(model, train_set, test_set, config, out, args.resume)
    if len(history) < config["epochs"]:
        print(f"{history.stopped}; go on with: minidl train --resume --out {out}")
        return 130
    _report(model, history, test_set, out)
    return 0


def _fit(model, train_set, test_set, config: dict, out: Path, resume: bool) -> train.History:
    """AdamW with the one-cycle schedule; nothing is chosen by the test set, which is only measured."""
    loader = data.DataLoader(train_set, config["batch_size"], shuffle=True)
    optimizer = optim.AdamW(model.parameters(), lr=config["lr"])
    cycle = optim.OneCycleLR(optimizer, config["lr"], total_steps=max(2, config["epochs"] * len(loader)))
    out.mkdir(parents=True, exist_ok=True)
    (out / "run.json").write_text(json.dumps(config, indent=2) + "\n")
    return train.fit(
        model,
        loader,
        loss=nn.CrossEntropyLoss(),
        optimizer=optimizer,
        epochs=config["epochs"],
        validation=data.DataLoader(test_set, 256),
        metrics="accuracy",
        schedule=train.Schedule(cycle, every="batch"),
        callbacks=[train.Checkpoint(out), train.Log(out / "history.json")],
        resume=out if resume else None,
    )


def _report(model, history: train.History, test_set, out: Path) -> None:
    from .. import viz  # brings matplotlib along

    predictions = train.predict(model, test_set, batch_size=256).argmax(axis=1)
    train.save_weights(model, out / "weights.safetensors")
    history.save(out / "history.json")
    viz.training_report(history, model, test_set.x, test_set.y, path=out / "report.png", classes=test_set.classes)
    print(f"test accuracy: {100 * (predictions == test_set.y).mean():.1f} %\n")
    print(viz.confusion_table(test_set.y, predictions, test_set.classes))
    print(f"\nweights.safetensors, history.json and report.png are in {out}")


def _new(args: argparse.Namespace) -> tuple[Path, dict]:
    """The folder and the settings of a fresh run."""
    given = {name: getattr(args, name) for name in DEFAULTS}
    config = DEFAULTS | {name: value for name, value in given.items() if value is not None}
    image = config["dataset"] == "shapes" or config["dataset"] in EPOCHS
    config["model"] = config["model"] or ("cnn" if image else "mlp")
    if config["model"] != "mlp" and not image:
        raise ValueError(f"{config['model']} is made for images; {config['dataset']} are points, take --model mlp")
    config["epochs"] = config["epochs"] or EPOCHS.get(config["dataset"], POINT_EPOCHS)
    name = f"{config['dataset']}-{config['model']}"
    out = Path(args.out) if args.out else _free(Path("runs"), name)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is there already and not empty; go on with it by --resume, or choose another --out")
    return out, config


def _free(parent: Path, name: str) -> Path:
    """runs/name, or runs/name-2, runs/name-3, ...: nothing is overwritten."""
    k = 1
    while (out := parent / (name if k == 1 else f"{name}-{k}")).exists():
        k += 1
    return out


def _resumed(args: argparse.Namespace) -> tuple[Path, dict]:
    """The folder and the settings of a run that was begun before."""
    if not args.out:
        raise ValueError("--resume needs to know the run: --out FOLDER, as printed at its end or found under runs/")
    out = Path(args.out)
    try:
        config = json.loads((out / "run.json").read_text())
        if set(config) != set(DEFAULTS):
            raise ValueError
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"there is no run to resume in {out}: it has no run.json") from None
    except ValueError:
        raise ValueError(f"{out / 'run.json'} is damaged or was not written by minidl train") from None
    for name, value in config.items():
        given = getattr(args, name)
        if given is not None and given != value:
            raise ValueError(f"the run in {out} was begun with {name}={value}: go on with it without {name}={given}")
    return out, config


def _positive(kind: type):
    def number(text: str):
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not greater than 0")
        return value

    number.__name__ = kind.__name__  # argparse says "invalid int value"
    return number
