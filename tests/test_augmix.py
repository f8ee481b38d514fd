"""AugMix: against the paper's algorithm written out for one image, its invariants, and the consistency loss."""

import numpy as np
import pytest

import minidl
from minidl import data, nn, optim, train
from minidl.data import augment
from minidl.data.augment import adjust
from minidl.data.augment.augmix import augmix_space
from minidl.data.augment.warp import affine
from minidl.nn import functional as F

X = np.random.default_rng(2).integers(0, 256, (10, 3, 16, 12)) / 255


def operation(name, image, level, sign):
    """The paper's operation at a level of 10 on one image (C, H, W), written out."""
    x, (height, width) = image[None], image.shape[1:]
    if name == "AutoContrast":
        return adjust.autocontrast(x)[0]
    if name == "Equalize":
        return adjust.equalize(x)[0]
    if name == "Posterize":
        return adjust.posterize(x, 4 - int(level * 4 / 10))[0]
    if name == "Solarize":
        return adjust.solarize(x, (256 - int(level * 256 / 10)) / 255)[0] if is_bytes(x) else None
    if name == "Rotate":
        return affine(x, angle=sign * level * 30 / 10)[0]
    if name == "ShearX":
        return affine(x, shear=(np.degrees(np.arctan(sign * level * 0.3 / 10)), 0))[0]
    if name == "ShearY":
        return affine(x, shear=(0, np.degrees(np.arctan(sign * level * 0.3 / 10))))[0]
    if name == "TranslateX":
        return affine(x, translate=(sign * int(level * (width / 3) / 10), 0))[0]
    if name == "TranslateY":
        return affine(x, translate=(0, sign * int(level * (height / 3) / 10)))[0]
    factor = level * 1.8 / 10 + 0.1
    functions = {"Color": adjust.saturation, "Contrast": adjust.contrast, "Brightness": adjust.brightness,
                 "Sharpness": adjust.sharpness}  # fmt: skip
    return functions[name](x, factor)[0]


def is_bytes(x):
    return np.allclose(x * 255, np.rint(x * 255), atol=1e-9)


@pytest.mark.parametrize("all_ops", [False, True])
@pytest.mark.parametrize("depth", [-1, 1, 4])
def test_augmix_is_the_papers_algorithm_one_image_at_a_time(depth, all_ops):
    severity, width, alpha = 5, 3, 0.7
    transform = augment.AugMix(severity, width, depth, alpha, all_ops)
    out, labels = transform(X.copy(), "labels", np.random.default_rng(9))
    assert labels == "labels"
    # the same draws
    rng, n, names = np.random.default_rng(9), len(X), list(augmix_space(16, 12, all_ops))
    m, w = rng.beta(alpha, alpha, n), rng.dirichlet([alpha] * width, n)
    depths = rng.integers(1, 4, n * width) if depth == -1 else np.full(n * width, depth)
    many = n * width
    steps = [(rng.integers(0, len(names), many), rng.uniform(0.1, severity, many), rng.random(many) < 0.5)
             for _ in range(depths.max())]  # fmt: skip
    # algorithm 1
    for i in range(n):
        mix = np.zeros_like(X[i])
        for k in range(width):
            chain, at = X[i], i * width + k
            for which, level, flip in steps[: depths[at]]:
                name = names[which[at]]
                done = operation(name, chain, level[at], -1 if flip[at] else 1)
                if done is None:  # between the levels of bytes the threshold need not be one of them
                    done = adjust.solarize(chain[None], (1 - level[at] / 10) * 256 / 255)[0]
                chain = done
            mix += w[i, k] * chain
        # but for pixels whose level was decided by a rounding error before
        assert np.isclose(out[i], (1 - m[i]) * X[i] + m[i] * mix, rtol=0, atol=0.004).mean() > 0.99


def test_the_papers_operations_and_levels():
    """int(0.4 level) bits fewer than 4, and so on, at every level; nine operations, or thirteen."""
    table = augmix_space(30, 60, False)
    assert sorted(table) == sorted(["AutoContrast", "Equalize", "Posterize", "Rotate", "Solarize", "ShearX", "ShearY",
                                    "TranslateX", "TranslateY"])  # fmt: skip
    assert (table["Rotate"][1], table["ShearX"][1], table["TranslateX"][1], table["TranslateY"][1]) == (30, 0.3, 20, 10)
    levels = np.linspace(0.1, 9.99, 200)
    low, high, _ = table["Posterize"]
    assert np.array_equal(np.rint(low + (high - low) * levels / 10), [4 - int(level * 4 / 10) for level in levels])
    low, high, _ = augmix_space(30, 60, True)["Color"]
    assert np.allclose(1 + low + (high - low) * levels / 10, levels * 1.8 / 10 + 0.1)
    assert len(augmix_space(30, 60, True)) == 13


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zero_severity_is_the_identity(dtype, rng):
    x = X.astype(dtype)
    out, _ = augment.AugMix(severity=0)(x.copy(), None, rng)
    assert out.dtype == dtype and np.array_equal(out, x)


def test_the_mix_is_convex(rng):
    """With the chains known, every value lies between the least and the greatest of the image and its chains."""
    transform = augment.AugMix(severity=8, width=4, all_ops=True)
    kept = []

    class Watched(augment.AugMix):
        def chains(self, x, rng):
            kept.append(super().chains(x, rng))
            return kept[-1]

    out, _ = Watched(8, 4, all_ops=True)(X.copy(), None, np.random.default_rng(1))
    assert np.array_equal(out, transform(X.copy(), None, np.random.default_rng(1))[0])
    all_five = np.concatenate([X[:, None], kept[0].reshape(10, 4, *X.shape[1:])], axis=1)
    assert (out >= all_five.min(1) - 1e-12).all() and (out <= all_five.max(1) + 1e-12).all()
    white, _ = transform(np.ones((5, 3, 6, 6)), None, rng)
    assert white.max() <= 1 and white.min() >= 0


def test_weights_have_the_distributions_of_the_paper(monkeypatch):
    """Chains that are 1 for one k and 0 elsewhere show m w_k: its mean is 1/2 1/width, and m has variance 1/12."""
    class Marked(augment.AugMix):
        def chains(self, x, rng):
            x[:] = np.tile(np.eye(3), (len(x) // 3, 1))[:, :, None, None]  # chain k is channel k
            return x

    out, _ = Marked()(np.zeros((20000, 3, 1, 1)), None, np.random.default_rng(0))
    shares = out[:, :, 0, 0]  # m w_k
    m = shares.sum(1)
    assert np.allclose(shares.mean(0), 1 / 6, atol=4 * 0.15 / np.sqrt(20000))
    assert abs(m.mean() - 0.5) < 4 / np.sqrt(12 * 20000) and abs(m.var() - 1 / 12) < 0.002
    w = shares / m[:, None]
    assert np.allclose(w.var(0), 2 / (9 * 4), atol=0.002)  # Dirichlet(1, 1, 1)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: augment.AugMix(severity=11), "severity is a number from 0 to 10"),
        (lambda: augment.AugMix(width=0), "width is a whole number from 1 up"),
        (lambda: augment.AugMix(depth=0), "depth"),
        (lambda: augment.AugMix(alpha=0), "alpha is a number > 0"),
        (lambda: augment.AugMix(fill="white"), "fill is one of"),
        (lambda: train.AugMixConsistency(augment.AugMix(), weight=-1), "weight must be >= 0"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# the consistency loss


def identity(x, y, rng):
    return x, y


def model_and_data(norm=True):
    minidl.manual_seed(3)
    layers = [nn.BatchNorm2d(3)] if norm else []
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(3 * 16 * 12, 4))
    return model, (X.astype(np.float32), np.arange(10) % 4)


def fit(model, images, callbacks=(), epochs=1, lr=0.1, **options):
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    return train.fit(model, images, loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=epochs,
                     batch_size=None if isinstance(images, list) else 5,
                     callbacks=callbacks, progress=False, **options)  # fmt: skip


def test_the_penalty_is_twelve_times_the_divergence_of_image_and_copies():
    model, images = model_and_data(norm=False)
    weights = model.state_dict()
    history = train.fit(model, [images], loss=nn.CrossEntropyLoss(), optimizer=optim.SGD(model.parameters(), lr=0.1),
                        epochs=1, callbacks=[train.AugMixConsistency(augment.AugMix())], progress=False)  # fmt: skip
    stepped = model.state_dict()
    model.load_state_dict(weights)
    minidl.manual_seed(3)
    twice, _ = augment.AugMix()(np.concatenate([images[0]] * 2), None, minidl.random.generator("augment"))
    clean, first, second = (model(minidl.tensor(x)) for x in (images[0], twice[:10], twice[10:]))
    p = [np.exp(z.numpy() - z.numpy().max(1, keepdims=True)) for z in (clean, first, second)]
    p = [q / q.sum(1, keepdims=True) for q in p]
    mean = sum(p) / 3
    divergence = sum((q * np.log(q / mean)).sum(1) for q in p).mean() / 3
    assert history[0]["penalty"] == pytest.approx(12 * divergence, rel=1e-4)
    loss = F.cross_entropy(clean, minidl.tensor(images[1])) + F.js_divergence(clean, first, second) * 12.0
    gradients = minidl.grad(loss, list(model.parameters()))  # and the gradient is that of the sum
    for (name, _), g in zip(model.named_parameters(), gradients, strict=True):
        assert np.allclose(stepped[name], weights[name] - 0.1 * g.numpy(), atol=1e-6)


def test_copies_that_are_the_image_cost_nothing():
    model, images = model_and_data(norm=False)
    history = fit(model, images, [train.AugMixConsistency(identity)])
    assert abs(history[0]["penalty"]) < 1e-6


def test_running_statistics_are_those_of_the_images_proper():
    model, images = model_and_data()
    fit(model, images, lr=1e-9, rng=1)
    plain = model.state_dict()
    model, images = model_and_data()
    fit(model, images, [train.AugMixConsistency(augment.AugMix())], lr=1e-9, rng=1)
    for name in ("0.running_mean", "0.running_var", "0.num_batches_tracked"):
        assert np.array_equal(plain[name], model.state_dict()[name])


def test_the_penalty_makes_predictions_agree():
    x, y = data.shapes(60, size=12, classes=["circle", "cross"], rng=0)
    darken = augment.RandomInvert(p=1.0)
    apart = {}
    for weight in (0.0, 12.0):
        minidl.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(x[0].size, 2))
        fit(model, [(x, y)], [train.AugMixConsistency(darken, weight)], epochs=15)
        with minidl.no_grad():
            apart[weight] = F.js_divergence(model(minidl.tensor(x)), model(minidl.tensor(1 - x))).item()
    assert apart[12.0] < 0.3 * apart[0.0]


@pytest.mark.parametrize("more", [[], [train.SAM()]])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path, more):
    def program(epochs, folder, resume):
        model, images = model_and_data()
        loader = data.DataLoader(data.Dataset(*images), 5, shuffle=True, transform=augment.ColorJitter(0.2, 0.2))
        callbacks = [train.AugMixConsistency(augment.AugMix()), train.Checkpoint(folder), *more]
        fit_options = dict(loss=nn.CrossEntropyLoss(), optimizer=optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
        train.fit(model, loader, epochs=epochs, callbacks=callbacks, progress=False, clip=1.0,
                  resume=folder if resume else None, **fit_options)  # fmt: skip
        return {name: array.tobytes() for name, array in model.state_dict().items()}

    whole = program(4, tmp_path / "whole", resume=False)
    program(2, tmp_path / "parts", resume=False)
    assert program(4, tmp_path / "parts", resume=True) == whole


def test_what_is_no_transform_is_refused():
    with pytest.raises(TypeError, match=r"did you mean AugMix\(\)"):
        train.AugMixConsistency(augment.AugMix)


def test_an_error_in_the_second_pass_leaves_the_buffers():
    """Ctrl-C while the augmented copies pass through batch norm: its statistics are those of the batch proper."""
    model, passes = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * 4 * 4, 2)), []

    class Interrupted(nn.Module):
        def forward(self, x):
            passes.append(len(x))
            if len(passes) == 2:
                raise KeyboardInterrupt
            return x

    model.append(Interrupted())
    x, y = np.random.default_rng(0).random((6, 3, 4, 4), np.float32), np.zeros(6, np.int64)
    train.fit(model, (x, y), loss=nn.CrossEntropyLoss(), optimizer=optim.SGD(model.parameters(), lr=0.1), epochs=1,
              batch_size=6, callbacks=[train.AugMixConsistency(augment.AugMix())], progress=False)
    assert passes == [6, 12] and model[0].num_batches_tracked.item() == 1
