"""RandAugment, TrivialAugment, AutoAugment and its search: tables of the papers, fair draws, one image at a time."""

import json

import numpy as np
import pytest

from minidl import data
from minidl.data import augment
from minidl.data.augment import adjust, augmix, policies
from minidl.data.augment.operations import OPERATIONS, apply_each, autoaugment_space, magnitudes, space
from minidl.data.augment.warp import affine

INSIDE = {"fill": "constant", "value": 0.0}
X = np.random.default_rng(3).integers(0, 256, (12, 3, 18, 16)) / 255


def literal(name, image, m):
    """One operation on one image (C, H, W), written out."""
    x = image[None]
    if name == "ShearX":
        return affine(x, shear=(np.degrees(np.arctan(m)), 0.0))[0]
    if name == "ShearY":
        return affine(x, shear=(0.0, np.degrees(np.arctan(m))))[0]
    if name == "TranslateX":
        return affine(x, translate=(int(m), 0))[0]
    if name == "TranslateY":
        return affine(x, translate=(0, int(m)))[0]
    if name == "Rotate":
        return affine(x, angle=m)[0]
    factor = {"Brightness": adjust.brightness, "Color": adjust.saturation, "Contrast": adjust.contrast,
              "Sharpness": adjust.sharpness}  # fmt: skip
    if name in factor:
        return factor[name](x, 1 + m)[0]
    if name == "Posterize":
        return adjust.posterize(x, round(m))[0]
    if name == "Solarize":
        return adjust.solarize(x, m)[0]
    plain = {"AutoContrast": adjust.autocontrast, "Equalize": adjust.equalize, "Invert": adjust.invert}
    return plain[name](x)[0] if name in plain else image


def assert_same_images(out, expected):
    """Equal, but for pixels whose level was decided by a rounding error before."""
    for one, other in zip(out, expected, strict=True):
        assert np.isclose(one, other, rtol=0, atol=0.01).mean() > 0.97


def test_the_tables_of_magnitudes():
    """Table 6 of AutoAugment and the wide space of TrivialAugment, magnitude by magnitude."""
    narrow = autoaugment_space(331, 662)
    assert narrow == {
        "Identity": (0, 0, False), "ShearX": (0, 0.3, True), "ShearY": (0, 0.3, True),
        "TranslateX": (0, pytest.approx(300), True), "TranslateY": (0, pytest.approx(150), True),
        "Rotate": (0, 30, True), "Brightness": (0, 0.9, True), "Color": (0, 0.9, True), "Contrast": (0, 0.9, True),
        "Sharpness": (0, 0.9, True), "Posterize": (8, 4, False), "Solarize": (256 / 255, 0, False),
        "AutoContrast": (0, 0, False), "Equalize": (0, 0, False),
    }  # fmt: skip
    wide = space(shear=0.99, shift=(32.0, 32.0), turn=135.0, light=0.99, bits=6)
    assert list(wide) == list(narrow)
    assert wide["Posterize"] == (8, 2, False) and wide["TranslateY"] == (0, 32, True) and wide["Rotate"][1] == 135
    assert set(OPERATIONS) == set(narrow) | {"Invert"}


@pytest.mark.parametrize("bins, bits", [(5, [8, 7, 6, 5, 4]), (10, [8, 8, 7, 7, 6, 6, 5, 5, 4, 4])])
def test_posterize_takes_whole_bits(bins, bits, rng):
    table, names = autoaugment_space(8, 8), list(autoaugment_space(8, 8))
    which = np.full(bins, names.index("Posterize"))
    assert list(np.rint(magnitudes(table, which, np.arange(bins) / (bins - 1), rng))) == bits


@pytest.mark.parametrize("name", OPERATIONS)
def test_zero_strength_is_the_identity_but_for_what_has_no_magnitude(name, rng):
    table = autoaugment_space(18, 16) | {"Invert": (0.0, 0.0, False)}
    values = magnitudes(table, np.full(12, list(table).index(name)), 0.0, rng)
    out = apply_each(list(table), np.full(12, list(table).index(name)), values, X.copy(), INSIDE)
    assert np.allclose(out, X, atol=1e-15) == (name not in ("AutoContrast", "Equalize", "Invert"))


def test_signs_are_fair_and_only_where_there_are_two_directions(rng):
    table = autoaugment_space(20, 20)
    for k, (low, high, signed) in enumerate(table.values()):
        values = magnitudes(table, np.full(1000, k), 0.5, rng)
        middle = (low + high) / 2
        assert np.allclose(np.abs(values), middle)
        share = (values < 0).mean()
        assert abs(share - 0.5) < 0.06 if signed else share == 0


def test_each_image_gets_its_own_operation_with_its_own_magnitude(rng):
    names = list(OPERATIONS)
    x = np.concatenate([X] * 5)
    which = np.arange(len(x)) % 16 - 1
    table = autoaugment_space(18, 16) | {"Invert": (0.0, 0.0, False)}
    ends = np.array([table[name] for name in names])
    values = ends[which, 0] + (ends[which, 1] - ends[which, 0]) * rng.random(len(x))
    out = apply_each(names, which, values, x.copy(), INSIDE)
    for n in range(len(x)):
        expected = x[n] if which[n] < 0 else literal(names[which[n]], x[n], values[n])
        assert np.allclose(out[n], expected, atol=1e-14)


def test_rand_augment_is_the_paper_one_image_at_a_time():
    transform = augment.RandAugment(num_ops=3, magnitude=14)
    out, _ = transform(X.copy(), None, np.random.default_rng(11))
    rng, expected = np.random.default_rng(11), list(X)
    names = list(autoaugment_space(18, 16))
    for _ in range(3):
        which, signs = rng.integers(0, 14, 12), rng.random(12) < 0.5
        for n in range(12):
            low, high, signed = autoaugment_space(18, 16)[names[which[n]]]
            m = low + (high - low) * 14 / 30
            expected[n] = literal(names[which[n]], expected[n], -m if signed and signs[n] else m)
    assert_same_images(out, expected)


def test_trivial_augment_is_the_paper_one_image_at_a_time():
    out, _ = augment.TrivialAugmentWide(num_magnitude_bins=11)(X.copy(), None, np.random.default_rng(4))
    rng = np.random.default_rng(4)
    table = space(shear=0.99, shift=(32.0, 32.0), turn=135.0, light=0.99, bits=6)
    which, bins, signs = rng.integers(0, 14, 12), rng.integers(0, 11, 12), rng.random(12) < 0.5
    for n in range(12):
        name = list(table)[which[n]]
        low, high, signed = table[name]
        m = low + (high - low) * bins[n] / 10
        assert_same_images(out[n : n + 1], [literal(name, X[n], -m if signed and signs[n] else m)])


def drawn(transform, monkeypatch, count):
    """How often each operation is done to one of `count` images."""
    counts = dict.fromkeys(OPERATIONS, 0)

    def note(names, which, values, x, outside):
        for k in which[which >= 0]:
            counts[names[k]] += 1
        return x

    for module in (policies, augmix):
        monkeypatch.setattr(module, "apply_each", note)
    transform(np.zeros((count, 1, 2, 2)), None, np.random.default_rng(0))
    return counts


@pytest.mark.parametrize(
    "transform, draws, operations",
    [
        (augment.RandAugment(num_ops=2), 28000, 14),
        (augment.TrivialAugmentWide(), 14000, 14),
        (augment.AugMix(depth=2, width=2), 56000, 9),
        (augment.AugMix(depth=2, width=2, all_ops=True), 56000, 13),
    ],
)
def test_each_operation_is_drawn_equally_often(transform, draws, operations, monkeypatch):
    counts = drawn(transform, monkeypatch, 14000)
    assert sum(counts.values()) == draws
    seen = [count for count in counts.values() if count]
    p = 1 / operations
    assert len(seen) == operations and np.abs(np.array(seen) - draws * p).max() < 4 * np.sqrt(draws * p * (1 - p))


def test_auto_augment_draws_sub_policies_fairly_and_keeps_their_probabilities(monkeypatch):
    policy = augment.AutoAugment([[["Invert", 0.8, 0], ["Equalize", 0.3, 0]], [["Rotate", 1.0, 5]], [["Color", 0, 9]]])
    counts = drawn(policy, monkeypatch, 9000)
    for name, expected in (("Invert", 2400), ("Equalize", 900), ("Rotate", 3000), ("Color", 0)):
        assert abs(counts[name] - expected) <= 4 * np.sqrt(expected)


def test_auto_augment_does_its_steps_in_order(rng):
    policy = augment.AutoAugment([[["Solarize", 1.0, 5], ["Brightness", 1.0, 0], ["Posterize", 1.0, 9]]])
    out, _ = policy(X.copy(), None, rng)
    expected = adjust.posterize(adjust.solarize(X, (1 - 5 / 9) * 256 / 255), 4)
    assert np.allclose(out, expected, atol=1e-15)


def test_what_comes_in_from_outside(rng):
    policy = augment.AutoAugment([[["TranslateX", 1.0, 9]]], value=0.25)
    out, _ = policy(np.ones((40, 1, 8, 8)), None, rng)
    assert set(np.unique(out)) == {0.25, 1.0} and (out == 0.25).all((1, 2))[:, [0, -1]].any(1).all()
    edge, _ = augment.AutoAugment([[["TranslateX", 1.0, 9]]], fill="edge")(np.ones((4, 1, 8, 8)), None, rng)
    assert np.array_equal(edge, np.ones((4, 1, 8, 8)))


def test_a_policy_is_plain_data_and_readable():
    policy = augment.AutoAugment([[("Rotate", 0.7, 2), ("TranslateX", 0.3, 9)], [["Equalize", 1, 0]]], value=0.5)
    again = augment.AutoAugment(json.loads(json.dumps(policy.as_data())), value=0.5)
    assert again == policy and hash(again) == hash(policy)
    assert repr(data.Compose([policy])).splitlines()[2:5] == [
        "    Rotate(p=0.7, magnitude=2) -> TranslateX(p=0.3, magnitude=9)",
        "    Equalize(p=1, magnitude=0)",
        "    fill='constant', value=0.5",
    ]


# the search


def test_the_search_keeps_the_best_in_their_order():
    seen = {}

    def score(policy):
        (steps,) = policy.policies
        seen[steps] = sum(p * m for _, p, m in steps)
        return seen[steps]

    best = augment.search_policy(score, trials=200, keep=4, rng=7)
    assert len(seen) == 200  # all different
    assert [seen[steps] for steps in best.policies] == sorted(seen.values(), reverse=True)[:4]
    assert {name for steps in seen for name, _, _ in steps} == set(OPERATIONS) - {"Identity"}
    assert {p for steps in seen for _, p, _ in steps} == {k / 10 for k in range(11)}
    assert {m for steps in seen for _, _, m in steps} == set(range(10))
    assert augment.search_policy(score, trials=200, keep=4, rng=7) == best
    assert augment.search_policy(score, trials=200, keep=4, rng=8) != best


def test_the_search_finds_what_the_data_want(rng):
    """Score: how well rotated images are matched. Only turning helps, so the best sub-policies turn."""
    image = rng.random((1, 1, 16, 16))
    turned = affine(image, angle=30.0)

    def score(policy):
        out, _ = policy(np.repeat(image, 16, axis=0), None, np.random.default_rng(0))
        return -np.abs(out - turned).mean((1, 2, 3)).min()

    best = augment.search_policy(score, trials=60, keep=1, length=1, operations=["Rotate", "Invert", "ShearX"], rng=1)
    assert [name for name, _, _ in best.policies[0]] == ["Rotate"]


def test_the_search_uses_the_stream_search():
    from minidl import manual_seed

    results = []
    for _ in range(2):
        manual_seed(5)
        results.append(augment.search_policy(lambda policy: policy.policies[0][0][2], trials=10, keep=2))
    assert results[0] == results[1]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: augment.RandAugment(num_ops=-1), "num_ops is a whole number from 0 up"),
        (lambda: augment.RandAugment(magnitude=31), "magnitude is a whole number from 0 to 30"),
        (lambda: augment.RandAugment(magnitude=2.5), "magnitude is a whole number"),
        (lambda: augment.RandAugment(fill="black"), "fill is one of"),
        (lambda: augment.TrivialAugmentWide(num_magnitude_bins=1), "from 2 up"),
        (lambda: augment.AutoAugment([]), "at least one sub-policy"),
        (lambda: augment.AutoAugment([[["Turn", 0.5, 3]]]), "no operation 'Turn'; the operations are Identity"),
        (lambda: augment.AutoAugment([["Rotate", 0.5, 3]]), "a step is"),
        (lambda: augment.AutoAugment([[["Rotate", 1.5, 3]]]), "the second of Rotate is a probability"),
        (lambda: augment.AutoAugment([[["Rotate", 0.5, 10]]]), "magnitude of Rotate is a whole number from 0 to 9"),
        (lambda: augment.search_policy(lambda policy: np.nan, trials=2, keep=1), "score returned nan"),
        (lambda: augment.search_policy(lambda policy: 0.0, trials=2), "fewer than keep=5"),
        (lambda: augment.search_policy(lambda policy: 0.0, trials=200, length=1, operations=["Invert"]), "more than"),
        (lambda: augment.search_policy(lambda policy: 0.0, operations=["Turn"]), "no operation 'Turn'"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
