"""Test-time augmentation: the mean over views is the mean, and nothing else changes."""

from functools import partial

import numpy as np
import pytest

import minidl
from minidl import Tensor, data, is_grad_enabled, nn, train
from minidl.data import augment

rng = np.random.default_rng(0)
X = rng.random((7, 3, 8, 6), dtype=np.float32)


class Watcher(nn.Module):
    """Linear in the pixels, with dropout and batch norm; notes in which mode it was called, and on what."""

    def __init__(self, pixels=3 * 8 * 6):
        super().__init__()
        self.norm, self.drop, self.linear = nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Linear(pixels, 4, rng=0)
        self.seen = []

    def forward(self, x):
        self.seen.append((self.training, self.drop.training, is_grad_enabled(), x.numpy().copy()))
        return self.linear(self.drop(self.norm(x)).flatten(1))


class Pooled(nn.Module):
    """Knows only the mean and the mean square of each channel: indifferent to flips, and to the size."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 4, rng=1)

    def forward(self, x):
        return self.linear(minidl.cat([x.mean((2, 3)), (x * x).mean((2, 3))], 1))


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def outputs(model, x):
    return train.predict(model, np.ascontiguousarray(x))


@pytest.mark.parametrize("weights", [None, [1, 2, 5]])
@pytest.mark.parametrize("batch_size", [None, 3])
def test_the_average_is_the_mean_by_hand(weights, batch_size):
    model = Watcher()
    views = [lambda x: x, lambda x: x[..., ::-1], lambda x: x * 0.5]
    scores = [outputs(model, x) for x in (X, X[..., ::-1], X * 0.5)]
    w = np.ones(3) / 3 if weights is None else np.array(weights) / 8
    for average, expected in (("logits", scores), ("probabilities", map(softmax, scores))):
        p = train.predict_tta(model, X, views, average, weights, batch_size)
        assert p.dtype == np.float32 and p.shape == (7, 4)
        assert np.allclose(p, sum(a * s for a, s in zip(w, expected, strict=True)), atol=1e-6)
    assert np.allclose(train.predict_tta(model, X, views).sum(1), 1, atol=1e-6)


def test_nothing_changes_for_a_model_that_is_indifferent():
    model = Pooled()
    plain = softmax(outputs(model, X))
    assert np.allclose(train.predict_tta(model, X, augment.flip_views(vertical=True)), plain, atol=1e-6)
    constant = np.broadcast_to(X[:, :, :1, :1], X.shape)  # the same at every scale and in every part
    plain = softmax(outputs(model, constant))
    for views in (augment.scale_views([4, (12, 5), 8]), augment.crop_views((5, 4))):
        assert np.allclose(train.predict_tta(model, constant, views), plain, atol=1e-6)


def test_flips_of_the_input_no_longer_matter():
    model, views = Watcher(), augment.flip_views(vertical=True)
    p = train.predict_tta(model, X, views)
    for flipped in (X[..., ::-1], X[:, :, ::-1], X[:, :, ::-1, ::-1]):
        assert np.allclose(p, train.predict_tta(model, flipped, views), atol=1e-6)
        assert not np.allclose(softmax(outputs(model, X)), softmax(outputs(model, flipped)), atol=1e-3)


def test_eval_mode_without_gradients_and_modes_put_back():
    model = Watcher().train()
    model.norm.eval()  # a frozen layer stays frozen
    before = {k: v.copy() for k, v in model.state_dict().items()}
    train.predict_tta(model, X, augment.flip_views())
    assert [call[:3] for call in model.seen] == [(False, False, False)] * 2
    assert np.array_equal(model.seen[1][3], X[..., ::-1])
    assert model.training and model.drop.training and not model.norm.training
    assert all(np.array_equal(before[k], v) for k, v in model.state_dict().items())
    with pytest.raises(ZeroDivisionError):
        train.predict_tta(model, X, [lambda x: 1 // 0])
    assert model.training and model.drop.training


def test_a_list_of_crops_counts_as_so_many_views():
    model = Watcher(pixels=3 * 5 * 4)
    (ten,) = augment.crop_views((5, 4))
    crops = ten(X)
    assert len(crops) == 10 and len(augment.crop_views(5, flips=False)[0](X)) == 5
    assert np.array_equal(crops[0], X[:, :, :5, :4]) and np.array_equal(crops[5], X[..., ::-1][:, :, :5, :4])
    centre = lambda x: x[:, :, 1:6, 1:5]  # noqa: E731
    mean = sum(softmax(outputs(model, c)) for c in [*crops, centre(X)]) / 11
    assert np.allclose(train.predict_tta(model, X, [ten, centre]), mean, atol=1e-6)
    only = train.predict_tta(model, X, [ten, centre], weights=[0] * 10 + [3])
    assert np.allclose(only, softmax(outputs(model, centre(X))), atol=1e-6)


def test_scales_are_resized_images():
    model = Pooled()
    halved, itself = augment.scale_views([(4, 3), (8, 6)])
    assert np.array_equal(itself(X), X)
    small = X.reshape(7, 3, 4, 2, 3, 2).mean((3, 5))
    assert halved(X).shape == small.shape and abs(halved(X) - small).max() < 0.3
    mean = (softmax(outputs(model, halved(X))) + softmax(outputs(model, X))) / 2
    assert np.allclose(train.predict_tta(model, X, [halved, itself]), mean, atol=1e-6)


def test_transforms_draw_from_rng():
    def noise(x, y, rng):
        x += rng.standard_normal(x.shape, dtype=x.dtype)  # in place: x is the transform's
        return x, y

    model, x = Watcher(), X.copy()
    views = [lambda x: x, noise, data.Compose([noise, augment.Cutout(3)])]
    first, again, other = (train.predict_tta(model, x, views, rng=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.allclose(first, other)
    assert np.array_equal(x, X)  # the data is not touched
    assert all(np.array_equal(call[3], X) for call in model.seen[::3])  # nor what the next view gets


def test_takes_what_predict_takes():
    model, views = Watcher(), augment.flip_views()
    p = train.predict_tta(model, X, views)
    y = np.zeros(7, np.int64)
    loader, pairs = data.DataLoader(data.Dataset(X, y), 4), [(X[:2], y[:2]), (X[2:], y[2:])]
    for form in (Tensor(X), (X, y), data.Dataset(X, y), loader, pairs):
        assert np.allclose(train.predict_tta(model, form, views), p, atol=1e-6)
    one = train.predict_tta(model.double(), X[:1].astype(np.float64), views)
    assert one.shape == (1, 4) and one.dtype == np.float64 and np.allclose(one, p[:1], atol=1e-6)


def test_outputs_other_than_classes():
    regression = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 6, 1, rng=0))
    mean = (outputs(regression, X) + outputs(regression, X[..., ::-1])) / 2
    assert np.allclose(train.predict_tta(regression, X, augment.flip_views(), average="logits"), mean, atol=1e-6)
    with pytest.raises(ValueError, match="not scores of classes .* average='logits'"):
        train.predict_tta(regression, X, augment.flip_views())


@pytest.mark.parametrize("views, options, kind, message", [
    ([], {}, ValueError, "at least one"),
    (lambda x: x, {}, ValueError, "views is a list of functions"),
    ([3], {}, TypeError, "which 3 cannot be"),
    ([lambda x: x[:2]], {}, ValueError, r"made array float32 \(2, 3, 8, 6\) of array float32 \(7, 3, 8, 6\)"),
    ([lambda x: 1.0], {}, ValueError, "a view returns an array"),
    ([lambda x: x], {"average": "mean"}, ValueError, "average is 'probabilities' or 'logits'"),
    ([lambda x: x], {"weights": [1, 2]}, ValueError, "weights are 1 numbers"),
    ([lambda x: x], {"weights": [0.0]}, ValueError, "weights are 1 numbers"),
    ([lambda x: x], {"weights": [-1.0]}, ValueError, "weights are 1 numbers"),
    ([lambda x: x, lambda x: x], {"weights": [float("nan"), 1]}, ValueError, "weights are 2 numbers"),
])  # fmt: skip
def test_bad_arguments(views, options, kind, message):
    with pytest.raises(kind, match=message):
        train.predict_tta(Watcher(), X, views, **options)


def test_outputs_must_agree_and_inputs_be_one():
    convolution = nn.Conv2d(3, 4, 3)
    with pytest.raises(ValueError, match="outputs of different shapes"):
        train.predict_tta(convolution, X, [lambda x: x, partial(augment.five_crop, size=4)])
    with pytest.raises(ValueError, match="has 2 of them"):
        train.predict_tta(Watcher(), [(X, X, np.zeros(7))], augment.flip_views())


def test_a_loader_that_shuffles_is_refused():
    x = np.zeros((6, 1, 4, 4), np.float32)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    loader = data.DataLoader(data.Dataset(x, np.zeros(6, np.int64)), 2, shuffle=True)
    for call in (lambda: train.predict(model, loader), lambda: train.predict_tta(model, loader, [lambda x: x])):
        with pytest.raises(ValueError, match="which output belongs to which sample"):
            call()
