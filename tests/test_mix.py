"""Erasing and mixing: each transform against a literal transcription, pixel by pixel, that is fed the same draws."""

import math

import numpy as np
import pytest

from minidl import data, nn, optim, train
from minidl.data import augment

N, C, H, W, K = 6, 3, 9, 7, 4
MASK_MIXES = [
    augment.CutMix(num_classes=K),
    augment.VerticalConcat(K),
    augment.HorizontalConcat(K),
    augment.MixedConcat(K),
    augment.RectangleMix((4, 3), K),
    augment.Mosaic(num_classes=K),
]
AVERAGES = [augment.Mixup(0.4, K), augment.VHMixup(K), augment.VHBCPlus(K)]
MIXES = [*MASK_MIXES, *AVERAGES]
ERASURES = [augment.Cutout(4), augment.Cutout(3, holes=2, value=7.0), augment.RandomErasing(p=1.0)]


def name(transform):
    return type(transform).__name__


def images(n=N, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).random((n, C, H, W)).astype(dtype)


def labels(n=N):
    return np.arange(n) % K


def rng(seed=5):
    return np.random.default_rng(seed)


# ------------------------------------------------------------------------------------------ literal transcriptions


@pytest.mark.parametrize(("size", "holes"), [(4, 1), (3, 2), (20, 1)])
def test_cutout_is_the_papers(size, holes):
    x, r = images(), rng()
    out, _ = augment.Cutout(size, holes, 0.5)(x.copy(), None, rng())
    expected = x.copy()
    for _ in range(holes):
        for n, (row, column) in enumerate(zip(r.integers(0, H, N), r.integers(0, W, N), strict=True)):
            for i in range(row - size // 2, row - size // 2 + size):
                for j in range(column - size // 2, column - size // 2 + size):
                    if 0 <= i < H and 0 <= j < W:
                        expected[n, :, i, j] = 0.5
    assert np.array_equal(out, expected)


@pytest.mark.parametrize("value", [0.25, np.array([1.0, 2.0, 3.0]), "random"])
def test_random_erasing_is_torchvisions(value):
    x, r, n = images(40), rng(), 40
    out, _ = augment.RandomErasing(p=0.7, scale=(0.6, 1.0), value=value)(x.copy(), None, rng())
    chosen = np.flatnonzero(r.random(n) < 0.7)
    k = len(chosen)
    areas = H * W * r.uniform(0.6, 1.0, (k, 10))
    aspects = np.exp(r.uniform(math.log(0.3), math.log(3.3), (k, 10)))
    boxes = []
    for area, aspect in zip(areas, aspects, strict=True):
        h = w = 0
        for a, ratio in zip(area, aspect, strict=True):
            h, w = round(math.sqrt(a * ratio)), round(math.sqrt(a / ratio))
            if h < H and w < W:
                break
        else:
            h = w = 0
        boxes.append((h, w))
    h, w = np.array(boxes).T
    top, left = r.integers(0, H - h + 1), r.integers(0, W - w + 1)
    expected = x.copy()
    for i, image in enumerate(chosen):
        area = expected[image, :, top[i] : top[i] + h[i], left[i] : left[i] + w[i]]
        area[:] = r.standard_normal(area.shape) if isinstance(value, str) else np.reshape(value, (-1, 1, 1))
    assert np.array_equal(out, expected)
    assert 0 < k < n and 0 < (h == 0).sum() < k  # all three cases are there


def test_random_erasing_erases_what_it_says():
    x = np.ones((4000, 1, 32, 32), np.float32)
    out, _ = augment.RandomErasing(p=0.3)(x, None, rng())
    share = 1 - out.mean((1, 2, 3))
    assert abs((share > 0).mean() - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 4000)
    assert 0.015 < share[share > 0].min() and share.max() < 0.34  # scale=(0.02, 0.33), up to whole pixels


def draw_pair(r, p=1.0):
    """Partner of each image and which images are mixed, in the order of the draws."""
    partner = r.permutation(N)
    return partner, range(N) if p >= 1 else np.flatnonzero(r.random(N) < p)


def literal(transform, x, y, r):
    """The papers' algorithms, an image and a pixel at a time."""
    partner, chosen = draw_pair(r, transform.p)
    n, kind = len(chosen), name(transform)
    if kind == "Mixup":
        q = r.beta(transform.alpha, transform.alpha, n)
    elif kind == "CutMix":
        q = r.beta(1.0, 1.0, n)
        middle = np.stack([r.integers(0, H, n), r.integers(0, W, n)])
    elif kind == "RectangleMix":
        (a, b), places = transform.size, []
        for side, extent in ((a, H), (b, W)):
            first = r.integers(0, extent, n) - side // 2
            bounds = [(max(f, 0), min(f + side, extent)) for f in first]
            places.append((bounds, r.integers(0, [extent - (q - p) + 1 for p, q in bounds])))
    else:
        cut_row = r.integers(0, H + 1, n) if kind != "HorizontalConcat" else None
        cut_column = r.integers(0, W + 1, n) if kind != "VerticalConcat" else None
        q = r.random(n) if kind.startswith("VH") else None
    out, targets = x.copy(), np.eye(K)[y]
    for i, k in enumerate(chosen):
        one, two = x[k], x[partner[k]]
        if kind == "VHBCPlus":
            one, two = one - one.mean(), two - two.mean()
        m, mixed = np.zeros((H, W)), np.zeros((C, H, W))
        for row in range(H):
            for column in range(W):
                if kind == "Mixup":
                    m[row, column] = q[i]
                elif kind == "CutMix":
                    h, w = int(H * math.sqrt(1 - q[i])), int(W * math.sqrt(1 - q[i]))
                    top, left = middle[0, i] - h // 2, middle[1, i] - w // 2
                    m[row, column] = not (top <= row < top + h and left <= column < left + w)
                elif kind == "VerticalConcat":
                    m[row, column] = row < cut_row[i]
                elif kind == "HorizontalConcat":
                    m[row, column] = column < cut_column[i]
                elif kind == "MixedConcat":
                    m[row, column] = (row < cut_row[i]) == (column < cut_column[i])
                elif kind.startswith("VH"):
                    m[row, column] = q[i] * (row < cut_row[i]) + (1 - q[i]) * (column < cut_column[i])
                at = (slice(None), row, column)
                mixed[at] = m[row, column] * one[at] + (1 - m[row, column]) * two[at]
        if kind == "RectangleMix":
            ((t, b), (le, ri)), (t2, le2) = (p[0][i] for p in places), (p[1][i] for p in places)
            m[:], mixed[:] = 1, one
            m[t:b, le:ri] = 0
            mixed[:, t:b, le:ri] = two[:, t2 : t2 + b - t, le2 : le2 + ri - le]
        if kind == "VHBCPlus":
            v = np.where(np.arange(H)[:, None] < cut_row[i], one, two)
            h = np.where(np.arange(W) < cut_column[i], one, two)
            p = 1 / (1 + v.std() / h.std() * (1 - q[i]) / q[i])
            mixed = (p * v + (1 - p) * h) / math.sqrt(p**2 + (1 - p) ** 2)
        out[k] = mixed
        targets[k] = m.mean() * np.eye(K)[y[k]] + (1 - m.mean()) * np.eye(K)[y[partner[k]]]
    return out, targets


@pytest.mark.parametrize("p", [1.0, 0.6])
@pytest.mark.parametrize("transform", [m for m in MIXES if name(m) != "Mosaic"], ids=name)
def test_a_mix_is_the_papers(transform, p):
    transform = type(transform)(**{**vars(transform), "p": p})
    for seed in range(3):
        x = images(seed=seed)
        out, y = transform(x.copy(), labels(), rng(seed))
        expected, targets = literal(transform, x, labels(), rng(seed))
        assert np.allclose(out, expected, atol=1e-13) and np.allclose(y, targets, atol=1e-13)


def test_mosaic_is_the_papers():
    for p in (1.0, 0.5):
        x, r = images(), rng()
        out, y = augment.Mosaic((0.3, 0.9), K, p)(x.copy(), labels(), rng())
        chosen = range(N) if p == 1 else np.flatnonzero(r.random(N) < p)
        sources = [np.arange(N), *(r.permutation(N) for _ in range(3))]
        cut_rows = np.rint(H * r.uniform(0.3, 0.9, len(chosen))).astype(int)
        cut_columns = np.rint(W * r.uniform(0.3, 0.9, len(chosen))).astype(int)
        expected, targets = x.copy(), np.eye(K)[labels()]
        for k, a, b in zip(chosen, cut_rows, cut_columns, strict=True):
            upper_left, upper_right, lower_left, lower_right = (x[s[k]] for s in sources)
            expected[k, :, :a, :b] = upper_left[:, H - a :, W - b :]
            expected[k, :, :a, b:] = upper_right[:, H - a :, : W - b]
            expected[k, :, a:, :b] = lower_left[:, : H - a, W - b :]
            expected[k, :, a:, b:] = lower_right[:, : H - a, : W - b]
            pixels = [a * b, a * (W - b), (H - a) * b, (H - a) * (W - b)]
            targets[k] = sum(n * np.eye(K)[labels()[s[k]]] for n, s in zip(pixels, sources, strict=True)) / (H * W)
        assert np.array_equal(out, expected) and np.allclose(y, targets, atol=1e-14)


def test_copy_paste_is_the_papers():
    mask = rng(1).integers(0, 4, (N, H, W)).astype(np.uint8)
    x, r = images(), rng()
    out, y = augment.CopyPaste(scale=(0.4, 2.0), flip=0.5, keep=0.6, p=0.8)(x.copy(), mask.copy(), rng())
    partner = r.permutation(N)
    chosen = np.flatnonzero(r.random(N) < 0.8)
    k = len(chosen)
    scale = r.uniform(0.4, 2.0, k)
    start = [r.random(k) * (side - side * scale) for side in (H, W)]
    flip, take = r.random(k) < 0.5, r.random((k, 4)) < 0.6
    expected, masks = x.copy(), mask.copy()
    for n, image in enumerate(chosen):
        for i in range(H):
            for j in range(W):
                row = math.floor((i + 0.5 - start[0][n]) / scale[n])
                column = math.floor((j + 0.5 - start[1][n]) / scale[n])
                if 0 <= row < H and 0 <= column < W:
                    column = W - 1 - column if flip[n] else column
                    label = mask[partner[image], row, column]
                    if label and take[n, label]:
                        expected[image, :, i, j] = x[partner[image], :, row, column]
                        masks[image, i, j] = label
    assert np.array_equal(out, expected) and np.array_equal(y, masks) and y.dtype == np.uint8
    assert (masks != mask).any()


# ------------------------------------------------------------------------------------------------------ invariants


@pytest.mark.parametrize("transform", [*MASK_MIXES, *AVERAGES[:2]], ids=name)
def test_labels_are_mixed_as_the_light_is(transform):
    """Image k is uniformly k: then the mean of a mixed image is the mean of its label, counted pixel by pixel."""
    x = np.arange(K, dtype=float).repeat(C * H * W).reshape(K, C, H, W)
    shares = []
    for seed in range(20):
        out, y = transform(x.copy(), np.arange(K), rng(seed))
        assert np.allclose(out.mean((1, 2, 3)), y @ np.arange(K), atol=1e-13)
        assert np.allclose(y.sum(1), 1, atol=1e-15) and (y >= 0).all()
        shares.append(y.diagonal())
    assert any(len(np.unique(s[s < 1])) > 1 for s in shares)  # each image has its own draw


def test_cutmix_lambda_is_the_area_that_is_left():
    x = np.stack([np.zeros((1, 32, 32)), np.ones((1, 32, 32))] * 500)
    out, y = augment.CutMix(num_classes=2)(x, np.arange(1000) % 2, rng())
    assert np.array_equal(y[:, 1], out.mean((1, 2, 3)))  # equal to the last bit: pixels over 1024
    mixed = (y > 0).all(1)
    assert 0.3 < mixed.mean() < 0.6  # half of the partners have the same label
    cut = y[mixed].min(1)
    assert cut.min() < 0.02 and cut.max() > 0.45


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_mixup_draws_from_beta(alpha):
    n = 20000
    x = np.zeros((n, 1))
    x[::2] = 1
    out, y = augment.Mixup(alpha)(x, np.hstack([x, 1 - x]), rng())
    lam = out[(np.arange(n) % 2 == 0) & (out[:, 0] < 1), 0]  # images of one kind with a partner of the other
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(lam.mean() - 0.5) < 4 * math.sqrt(variance / len(lam))
    assert abs(lam.var() - variance) < 0.05 * variance
    assert np.allclose(y[:, 0], out[:, 0])


def test_mixup_of_anything():
    x, y = rng(1).standard_normal((8, 5)).astype(np.float32), rng(2).standard_normal((8, 1))
    out, target = augment.Mixup(1.0)(x.copy(), y, rng())
    r = rng()
    partner, lam = r.permutation(8), r.beta(1.0, 1.0, 8)[:, None]
    assert out.dtype == np.float32 and np.allclose(out, lam * x + (1 - lam) * x[partner], atol=1e-6)
    assert np.allclose(target, lam * y + (1 - lam) * y[partner])  # numbers to be predicted mix as labels do


def test_bc_plus_keeps_the_contrast():
    x = images(200)
    x[::2] *= 10  # a loud image beside a faint one
    out, y = augment.VHBCPlus(K)(x, labels(200), rng())
    assert np.isfinite(out).all() and np.allclose(y.sum(1), 1)
    flat, target = augment.VHBCPlus(K)(np.ones((4, 1, 5, 5)), labels(4), rng())  # no contrast at all
    assert np.array_equal(flat, np.zeros_like(flat)) and np.allclose(target.sum(1), 1)


def test_copy_paste_mixes_classes_by_visible_area():
    x = np.zeros((2, 1, 4, 4))
    x[0, 0, 0, :] = 1.0  # four pixels of class 0
    x[1, 0, :2, 0] = 0.9  # two of class 1, one of them in the place of an object pixel of the other
    paste = augment.CopyPaste((1.0, 1.0), flip=0, keep=1, find=lambda x: x[:, 0] > 0.5, num_classes=2)
    seed = next(s for s in range(20) if rng(s).permutation(2)[0] == 1)
    out, y = paste(x.copy(), np.array([0, 1]), rng(seed))
    assert np.allclose(y[0], [3 / 5, 2 / 5]) and (out[0] == 0.9).sum() == 2
    assert np.allclose(y[1], [4 / 5, 1 / 5]) and (out[1] == 0.9).sum() == 1
    empty, y = paste(np.zeros((2, 1, 4, 4)), np.array([0, 1]), rng(seed))
    assert np.array_equal(y, np.eye(2)) and not empty.any()  # no objects anywhere: nothing happens


def test_copy_paste_moves_pixels_with_their_labels():
    mask = rng(1).integers(0, 5, (N, H, W))
    x = np.repeat(mask[:, None] * 10.0, 2, axis=1)
    for seed in range(5):
        out, y = augment.CopyPaste()(x.copy(), mask, rng(seed))
        assert np.array_equal(out[:, 0], 10 * y) and np.array_equal(out[:, 1], 10 * y)
    binary = mask > 2
    _, y = augment.CopyPaste((1.0, 1.0), keep=1.0)(x.copy(), binary, rng())
    assert y.dtype == bool and (y >= binary).all() and y.sum() > binary.sum()  # a union of masks


# --------------------------------------------------------------------------------------- what every transform keeps


@pytest.mark.parametrize("transform", [*MIXES, *ERASURES], ids=name)
def test_shapes_dtypes_and_small_batches(transform):
    for dtype in (np.float32, np.float64):
        for n in (N, 1, 0):
            x = images(n, dtype)
            out, y = transform(x.copy(), labels(n), rng())
            assert out.shape == x.shape and out.dtype == dtype
            if transform in MIXES:
                assert y.shape == (n, K) and y.dtype == dtype and np.allclose(y.sum(1), 1)
            if n == 1 and name(transform) in ("Mixup", "CutMix", "VHMixup", "VerticalConcat", "MixedConcat"):
                assert np.array_equal(out, x) and y.argmax() == 0  # its own partner
        wide = np.zeros((N, C, 2 * H, W), dtype)
        wide[:, :, ::2] = images(N, dtype)
        strided, y = transform(wide[:, :, ::2], labels(), rng())
        again, y_again = transform(images(N, dtype), labels(), rng())
        assert np.array_equal(strided, again) and np.array_equal(y, y_again)
    assert eval(repr(transform), vars(augment)) == transform


@pytest.mark.parametrize("transform", [*MASK_MIXES, *ERASURES], ids=name)
def test_bytes_are_moved_as_they_are(transform):
    x = (255 * images()).astype(np.uint8)
    out, y = transform(x.copy(), labels(), rng())
    as_floats, _ = transform(x.astype(float), labels(), rng())
    assert out.dtype == np.uint8 and np.array_equal(out, as_floats)
    assert transform in ERASURES or y.dtype == np.float32


@pytest.mark.parametrize("transform", MIXES, ids=name)
def test_targets_may_be_soft_and_p_is_a_share(transform):
    soft = rng(3).dirichlet(np.ones(K), N)
    _, y = transform(images(), soft, rng())
    hard = [transform(images(), np.full(N, k), rng())[1] for k in range(K)]
    assert y.shape == (N, K) and np.allclose(y.sum(1), 1) and all(np.allclose(h[:, k], 1) for k, h in enumerate(hard))
    never, some = (type(transform)(**{**vars(transform), "p": p}) for p in (0.0, 0.4))
    out, y = never(images(), labels(), rng())
    assert np.array_equal(out, images()) and np.array_equal(y, np.eye(K)[labels()])
    x = images(500)
    out, _ = some(x.copy(), labels(500), rng())
    assert (out != x).any((1, 2, 3)).mean() < 0.4 + 4 * math.sqrt(0.24 / 500)


def test_losses_and_accuracy_take_mixed_targets():
    logits = rng(1).standard_normal((N, K))
    x, y = augment.CutMix(num_classes=K)(images(), labels(), rng())
    r = rng()
    partner, one_hot = r.permutation(N), np.eye(K)[labels()]
    same = labels() == labels()[partner]
    lam = np.where(same, 1.0, (y * one_hot).sum(1))
    loss = nn.CrossEntropyLoss(reduction="none")
    parts = loss(logits, labels()), loss(logits, labels()[partner])
    assert np.allclose(loss(logits, y), lam * parts[0] + (1 - lam) * parts[1])
    assert train.accuracy(y, y) == 1.0  # the best possible answer
    winner = np.where(lam >= 0.5, labels(), labels()[partner])
    assert train.accuracy(logits, y) == train.accuracy(logits, winner)  # right: the class with the larger share


@pytest.mark.parametrize("mix", [augment.Mixup(0.4, 10), augment.CutMix(num_classes=10), augment.VHMixup(10)], ids=name)
def test_fit_learns_from_mixed_batches(mix):
    digits = data.load_digits()
    learn, test = digits[:300], digits[300:600]
    loader = data.DataLoader(data.Dataset(*learn), 50, shuffle=True, rng=0,
                             transform=data.Compose([mix, augment.Cutout(2)]))  # fmt: skip
    assert name(mix) in repr(loader)
    _, y = next(iter(loader))
    assert y.shape == (50, 10) and np.allclose(y.numpy().sum(1), 1, atol=1e-6)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, rng=0))
    history = train.fit(model, loader, loss=nn.CrossEntropyLoss(), optimizer=optim.Adam(model.parameters(), lr=0.02),
                        epochs=10, metrics="accuracy", validation=test, progress=False)  # fmt: skip
    first, last = history[0], history[-1]
    assert last["val_loss"] < first["val_loss"] and last["val_accuracy"] > 0.7 and 0 < last["accuracy"] <= 1


# ---------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("build, message", [
    (lambda: augment.Cutout(0), "size is an integer >= 1, not 0"),
    (lambda: augment.Cutout(3, holes=1.5), "holes is an integer >= 1"),
    (lambda: augment.RandomErasing(p=2), "p is a probability"),
    (lambda: augment.RandomErasing(scale=(0.5, 0.1)), "scale is a pair"),
    (lambda: augment.RandomErasing(ratio=(0, 1)), "ratio is a pair"),
    (lambda: augment.RandomErasing(value="noise"), "or 'random', not 'noise'"),
    (lambda: augment.Mixup(0.0), r"alpha, of the distribution Beta\(alpha, alpha\), is a number > 0"),
    (lambda: augment.CutMix(p=-0.1), "CutMix: p is a probability"),
    (lambda: augment.RectangleMix(0), "RectangleMix: size is an integer >= 1"),
    (lambda: augment.RectangleMix((1, 2, 3)), r"a pair \(height, width\)"),
    (lambda: augment.Mosaic(centre=(0.5, 1.5)), "centre is a pair"),
    (lambda: augment.CopyPaste(scale=(0, 1)), "scale is a pair"),
    (lambda: augment.CopyPaste(keep=3), "keep is a probability"),
])  # fmt: skip
def test_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("transform, x, y, kind, message", [
    (augment.Mixup(), images(), labels(), ValueError, "need num_classes"),
    (augment.CutMix(num_classes=2), images(), labels(), ValueError, "labels run from 0 to 3, but num_classes=2"),
    (augment.CutMix(num_classes=K), images(), None, ValueError, "mixes labels"),
    (augment.CutMix(num_classes=K), images(), labels(3), ValueError, "6 images and 3 targets"),
    (augment.Mosaic(num_classes=K), images()[0], labels(), ValueError, "batch of images"),
    (augment.Mixup(num_classes=K), images().astype(np.uint8), labels(), TypeError, "ToFloat"),
    (augment.Mixup(num_classes=K), [1.0], labels(), ValueError, "array of samples"),
    (augment.VHMixup(K), images().astype(np.uint8), labels(), TypeError, "ToFloat"),
    (augment.RandomErasing(value="random"), images().astype(np.uint8), None, TypeError, "ToFloat"),
    (augment.Cutout(3, value=0.5), images().astype(np.uint8), None, ValueError, "none of uint8's"),
    (augment.Cutout(3, value=(1, 2)), images(), None, ValueError, "one for each of 3 channels"),
    (augment.CopyPaste(), images(), labels(), ValueError, "give find="),
    (augment.CopyPaste(), images(), np.zeros((N, H, W)), TypeError, "integers or bools"),
    (augment.CopyPaste(find=lambda x: x), images(), labels(), ValueError, r"what find\(x\) returns"),
])  # fmt: skip
def test_bad_batches(transform, x, y, kind, message):
    with pytest.raises(kind, match=message):
        transform(x, y, rng())


def test_targets_are_needed_and_must_fit(rng):
    x = np.zeros((4, 1, 6, 6), np.float32)
    with pytest.raises(ValueError, match="Mixup mixes labels.*this data has none, give"):
        augment.Mixup(num_classes=3)(x, None, rng)
    with pytest.raises(ValueError, match="have 4 classes, not 3"):
        augment.CutMix(num_classes=3)(x, np.full((4, 4), 0.25, np.float32), rng)
