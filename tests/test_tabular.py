"""Tables: the spread of feature noise, and SMOTE against scikit-learn's neighbours and its own definition."""

import numpy as np
import pytest

import minidl
from minidl import data
from minidl.data import augment
from minidl.data.augment.tabular import nearest_neighbours


def imbalanced(rng, sizes=(60, 12, 7), d=3, dtype=np.float64):
    y = np.repeat(np.arange(len(sizes)), sizes)
    order = rng.permutation(len(y))
    return (rng.standard_normal((len(y), d)) + 4 * y[:, None]).astype(dtype)[order], y[order]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise_is_a_share_of_each_features_spread(dtype, rng):
    x = (rng.standard_normal((20_000, 4)) * [1, 100, 1e-3, 0] + [0, 7, 5, 3]).astype(dtype)
    noise = augment.FeatureNoise.fit(x, std=0.2)
    out, y = noise(x.copy(), "y", np.random.default_rng(1))
    added = (out.astype(np.float64) - x)[:, :3] / x.std(0, dtype=np.float64)[:3]
    assert y == "y" and out.dtype == dtype
    assert (np.abs(added.mean(0)) < 4 * 0.2 / 20_000**0.5).all()
    assert (np.abs(added.std(0) / 0.2 - 1) < 4 / 40_000**0.5).all()
    assert np.abs(np.corrcoef(added.T) - np.eye(3)).max() < 4 / 20_000**0.5
    np.testing.assert_allclose(out[:, 3], x[:, 3], rtol=1e-6)
    np.testing.assert_array_equal(out, noise(x[:, ::-1][:, ::-1], None, np.random.default_rng(1))[0])
    assert noise(x[:0], None, rng)[0].shape == (0, 4) and noise(x[:1], None, rng)[0].shape == (1, 4)
    np.testing.assert_array_equal(augment.FeatureNoise(0.0, 5)(x, None, rng)[0], x)


def test_noise_in_the_loader():
    x, y = data.moons(64, rng=0)
    noise = augment.FeatureNoise.fit(x, 0.1)
    loader = data.DataLoader(data.Dataset(x, y), batch_size=64, transform=noise, rng=0)
    first, second = (next(iter(loader))[0].numpy() for _ in range(2))
    assert first.dtype == np.float32 and 0 < np.abs(first - x).max() < 0.5 and not (first == second).any()
    assert repr(noise) == "FeatureNoise(std=0.1, scale=[0.9667, 0.4836])"


@pytest.mark.parametrize("n, d, k", [(2, 1, 1), (50, 2, 5), (300, 7, 10), (3000, 3, 4), (20, 3, 19)])
@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_neighbours_are_scikit_learns(n, d, k, shift, rng):
    neighbors = pytest.importorskip("sklearn.neighbors")
    x = rng.standard_normal((n, d)) + shift
    distance, index = neighbors.NearestNeighbors(n_neighbors=k, algorithm="brute").fit(x).kneighbors()
    ours = nearest_neighbours(x, k)
    np.testing.assert_allclose(np.linalg.norm(x[ours] - x[:, None], axis=2), distance, rtol=1e-5, atol=1e-7)
    assert (ours == index).mean() > 0.999


def test_neighbours_are_other_rows_even_where_rows_are_equal():
    x = np.zeros((6, 2))
    found = nearest_neighbours(x, 5)
    assert [sorted(row) for row in found.tolist()] == [[j for j in range(6) if j != i] for i in range(6)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "ratio, sizes",
    [
        (1.0, [60, 60, 60]), (0.5, [60, 30, 30]), (0.15, [60, 12, 9]), (0, [60, 12, 7]), ({1: 20}, [60, 20, 7]),
        ({1: 5, 0: 61}, [61, 12, 7]),
    ],
)  # fmt: skip
def test_classes_grow_to_the_asked_sizes(ratio, sizes, dtype, rng):
    x, y = imbalanced(rng, dtype=dtype)
    more, labels = augment.smote(x, y, k=3, ratio=ratio, rng=1)
    assert more.dtype == dtype and labels.dtype == y.dtype and np.bincount(labels).tolist() == sizes
    np.testing.assert_array_equal(more[: len(x)], x)
    np.testing.assert_array_equal(labels[: len(y)], y)
    again, _ = augment.smote(np.repeat(x, 2, 1)[:, ::2], y, k=3, ratio=ratio, rng=1)
    np.testing.assert_array_equal(more, again)


def test_new_samples_lie_on_segments_between_neighbours_of_their_class(rng):
    x, y = imbalanced(rng)
    more, labels = augment.smote(x, y, k=3, rng=1)
    uses = {label: np.zeros(sum(y == label), int) for label in (1, 2)}
    for point, label in zip(more[len(x) :], labels[len(x) :], strict=True):
        members = x[y == label]
        distance = np.linalg.norm(members[:, None] - members, axis=2)
        best = (np.inf, None)
        for i in range(len(members)):
            for j in distance[i].argsort()[1:4]:
                along = members[j] - members[i]
                u = (point - members[i]) @ along / (along @ along)
                off = np.linalg.norm(point - members[i] - u * along)
                if 0 <= u <= 1 and off < best[0]:
                    best = (off, i)
        assert best[0] < 1e-12
        uses[label][best[1]] += 1
    assert {label: count.sum() for label, count in uses.items()} == {1: 48, 2: 53}


def test_places_on_the_segment_are_uniform_and_all_samples_serve(rng):
    """On a line with k = 1 and gaps that grow, the neighbour of sample i is i - 1 (of 0 it is 1)."""
    stats = pytest.importorskip("scipy.stats")
    line = np.array([0.0, 1, 3, 7, 15])[:, None]
    x = np.concatenate([line, 100 + rng.random((4005, 1))])
    y = np.repeat([1, 0], [5, 4005])
    new = augment.smote(x, y, k=1, rng=1)[0][len(x) :, 0]
    assert len(new) == 4000
    for low, high, count in ((0, 1, 1600), (1, 3, 800), (3, 7, 800), (7, 15, 800)):
        here = new[(new > low) & (new < high)]
        assert len(here) == count
        assert stats.kstest((here - low) / (high - low), "uniform").pvalue > 1e-3
    plane = np.concatenate([[[0.0, 0], [1, 1]], rng.random((4002, 2)) + 5])
    diagonal = augment.smote(plane, np.repeat(["rare", "many"], [2, 4002]), k=1, rng=1)[0][len(plane) :]
    assert (diagonal[:, 0] == diagonal[:, 1]).all()  # one number u for all features


def test_neighbours_are_chosen_equally_often():
    star = np.array([[0.0, 0], [1, 0], [0, 1], [-1, 0], [0, -1]])
    x = np.concatenate([star, np.full((10_005, 2), 50.0)])
    new = augment.smote(x, np.repeat([1, 0], [5, 10_005]), k=4, rng=0)[0][len(x) :]
    on_axes = new[(new == 0).any(1)]  # from the middle to a tip, from a tip to the middle, or from tip to opposite tip
    shares = [(on_axes @ tip > 0).mean() for tip in star[1:]]
    assert len(on_axes) > 4000 and np.abs(np.array(shares) - 1 / 4).max() < 4 * (3 / 16 / len(on_axes)) ** 0.5


def test_randomness_comes_from_rng_or_the_stream(rng):
    x, y = imbalanced(rng)
    minidl.manual_seed(3)
    first = augment.smote(x, y)[0]
    assert not (first[len(x) :] == augment.smote(x, y)[0][len(x) :]).any()
    minidl.manual_seed(3)
    np.testing.assert_array_equal(first, augment.smote(x, y)[0])


def test_nothing_to_do():
    x, y = np.zeros((4, 2), np.float32), np.array([0, 0, 1, 1])
    for xs, ys in ((x, y), (x[:0], y[:0]), (x[:1], y[:1])):
        more, labels = augment.smote(xs, ys)
        assert more.shape == xs.shape and labels.shape == ys.shape


X, Y = np.zeros((6, 2)), np.array([0, 0, 0, 0, 1, 1])


@pytest.mark.parametrize(
    "wrong, error, message",
    [
        (lambda: augment.smote(X, Y), ValueError, "class 1 has 2 samples, too few for k=5 .* make k smaller"),
        (lambda: augment.smote(X[:5], Y[:5], k=1), ValueError, "class 1 has 1 sample, too few .* ratio={label: size}"),
        (lambda: augment.smote(X, Y[:3]), ValueError, r"a label for each row of x, shape \(6,\)"),
        (lambda: augment.smote(X, Y, k=0), ValueError, "k is a number of neighbours"),
        (lambda: augment.smote(X, Y, ratio=1.5), ValueError, "ratio is a share of the largest class"),
        (lambda: augment.smote(X, Y, ratio={7: 3}), ValueError, "no samples of class 7"),
        (lambda: augment.smote(X.astype(int), Y), TypeError, "needs floating features"),
        (lambda: augment.smote(X[:, 0], Y), ValueError, r"a table \(N, D\)"),
        (lambda: augment.smote(X / np.float64(np.nan), Y), ValueError, "not finite"),
        (lambda: nearest_neighbours(X, 6), ValueError, "at most 5 neighbours each, not 6"),
        (lambda: augment.FeatureNoise(-0.1), ValueError, "finite and >= 0"),
        (lambda: augment.FeatureNoise(0.1, [1, 2, 3])(X, None, None), ValueError, "3 scales, which do not fit"),
        (lambda: augment.FeatureNoise()(X.astype(int), None, None), TypeError, "needs floating"),
        (lambda: augment.FeatureNoise.fit(X[:0]), ValueError, "empty table"),
    ],
)
def test_errors_say_what_to_do(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong()
