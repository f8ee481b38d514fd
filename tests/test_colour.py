"""Colour, light, noise and blur: against Pillow, colorsys and SciPy, and their statistics."""

import colorsys

import numpy as np
import pytest

from minidl import data
from minidl.data import augment
from minidl.data.augment import adjust, blur

IMAGES = np.random.default_rng(1).integers(0, 256, (6, 3, 21, 17), np.uint8)
IMAGES[1] //= 40  # few levels
IMAGES[2] = 7  # one level
IMAGES[3, 1] = 255
IMAGES[4] = np.minimum(IMAGES[4].astype(int) ** 2 // 300, 255)  # uneven
FLOATS = IMAGES / 255

EVERY = [
    augment.ColorJitter(0.4, 0.4, 0.4, 0.1),
    augment.PCAColor([0.2, 0.02, 0.004], np.eye(3)),
    augment.RandomShadow(p=0.7),
    augment.RandomGrayscale(0.5),
    augment.RandomInvert(),
    augment.RandomAutocontrast(),
    augment.RandomEqualize(),
    augment.RandomPosterize(3),
    augment.RandomSolarize(0.5),
    augment.RandomAdjustSharpness(2.0),
    augment.GaussianNoise(),
    augment.SpeckleNoise(sigma=(0.1, 0.5)),
    augment.SaltAndPepper(0.2),
    augment.GaussianBlur(5),
    augment.MotionBlur(5),
    augment.RandAugment(),
    augment.TrivialAugmentWide(),
    augment.AutoAugment([[["Rotate", 0.5, 9], ["Invert", 0.5, 0]], [["Equalize", 1.0, 3]]]),
    augment.AugMix(),
]
by_name = pytest.mark.parametrize("transform", EVERY, ids=lambda t: type(t).__name__)


def pillow(function, images=IMAGES):
    """function(PIL image) for every image, as floats."""
    Image = pytest.importorskip("PIL.Image")
    out = [np.asarray(function(Image.fromarray(image.transpose(1, 2, 0)))) for image in images]
    return np.array(out).transpose(0, 3, 1, 2) / 255


# what every transform does


@by_name
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (1, 3, 8, 8), (9, 3, 8, 5), (4, 3, 1, 1), (3, 3, 2, 7)])
def test_any_batch_keeps_shape_dtype_and_range(transform, dtype, shape, rng):
    x = rng.random(shape).astype(dtype)
    y = np.arange(len(x))
    out, labels = transform(x, y, rng)
    assert out.shape == shape and out.dtype == dtype and labels is y
    assert out.min(initial=0) >= -1e-6 and out.max(initial=1) <= 1 + 1e-6


@by_name
def test_the_draws_come_from_rng_and_the_layout_in_memory_does_not_matter(transform, rng):
    x = rng.random((8, 3, 9, 9))
    scattered = np.array(x[::-1, :, ::-1].transpose(0, 1, 3, 2)).transpose(0, 1, 3, 2)[::-1, :, ::-1]
    assert np.array_equal(scattered, x) and not scattered.flags.c_contiguous
    pairs = (x.copy(), 5), (scattered, 5), (x.copy(), 6)
    first, again, other = (transform(array, None, np.random.default_rng(seed))[0] for array, seed in pairs)
    assert np.allclose(first, again, atol=1e-12)
    assert not np.allclose(first, other)


@by_name
def test_each_image_of_a_batch_gets_its_own_draw(transform, rng):
    x = np.repeat(rng.random((1, 3, 12, 12)), 64, axis=0)
    out, _ = transform(x, None, rng)
    assert len(np.unique(out.round(9).reshape(64, -1), axis=0)) > 1


@by_name
def test_bytes_and_single_images_are_refused(transform, rng):
    name = type(transform).__name__
    with pytest.raises(TypeError, match=rf"{name} .*uint8; put data.ToFloat\(\) before it"):
        transform(np.zeros((2, 3, 4, 4), np.uint8), None, rng)
    with pytest.raises(ValueError, match=rf"{name} takes a batch of images \(N, C, H, W\)"):
        transform(np.zeros((3, 4, 4)), None, rng)
    assert repr(transform).startswith(name + "(")


@pytest.mark.parametrize("transform", EVERY[:13] + EVERY[15:], ids=lambda t: type(t).__name__)
def test_standardised_images_are_refused(transform, rng):
    with pytest.raises(ValueError, match="from 0 to 1.*put it before data.Normalize"):
        transform(rng.normal(size=(2, 3, 4, 4)), None, rng)


def test_noise_and_blur_take_any_scale_when_told_so(rng):
    x = rng.normal(size=(2, 5, 6, 6))
    for transform in (augment.GaussianNoise(clip=False), augment.SpeckleNoise(clip=False), augment.GaussianBlur(3),
                      augment.MotionBlur(3)):  # fmt: skip
        assert transform(x.copy(), None, rng)[0].min() < 0


def test_they_work_in_a_loader(rng):
    chain = data.Compose([augment.ColorJitter(0.2), augment.RandAugment(), augment.GaussianNoise(sigma=0.05)])
    loader = data.DataLoader(data.Dataset(FLOATS.astype(np.float32), np.arange(6)), 4, transform=chain, rng=3)
    assert [len(x) for x, _ in loader] == [4, 2]


# the adjustments


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 1.7])
@pytest.mark.parametrize(
    "name, theirs",
    [("brightness", "Brightness"), ("contrast", "Contrast"), ("saturation", "Color"), ("sharpness", "Sharpness")],
)
def test_factors_are_those_of_pillow(name, theirs, factor):
    enhance = pytest.importorskip("PIL.ImageEnhance")
    expected = pillow(lambda image: getattr(enhance, theirs)(image).enhance(factor))
    assert np.abs(getattr(adjust, name)(FLOATS, factor) - expected).max() * 255 < 1.3  # Pillow cuts off what is no byte
    if factor == 1:
        assert np.allclose(getattr(adjust, name)(FLOATS, factor), FLOATS, atol=1e-15)


def test_operations_on_levels_are_those_of_pillow():
    ops = pytest.importorskip("PIL.ImageOps")
    for bits in range(1, 9):
        assert np.array_equal(adjust.posterize(FLOATS, bits), pillow(lambda image, b=bits: ops.posterize(image, b)))
    assert np.array_equal(adjust.equalize(FLOATS), pillow(ops.equalize))
    assert np.allclose(adjust.solarize(FLOATS, 100 / 255), pillow(lambda image: ops.solarize(image, 100)), atol=1e-15)
    assert np.allclose(adjust.invert(FLOATS), pillow(ops.invert), atol=1e-15)
    assert np.abs(adjust.autocontrast(FLOATS) - pillow(ops.autocontrast)).max() * 255 < 1
    grey = pillow(lambda image: image.convert("L").convert("RGB"))
    assert np.abs(adjust.greyscale(FLOATS) - grey).max() * 255 < 0.51


def test_equalize_of_small_and_of_large_images(rng):
    ops = pytest.importorskip("PIL.ImageOps")
    for size in (8, 16, 17, 40):
        images = rng.integers(0, 256, (4, 3, size, size), np.uint8)
        assert np.array_equal(adjust.equalize(images / 255), pillow(ops.equalize, images))


def test_float32_levels_survive(rng):
    x = (np.arange(256) / 255).astype(np.float32).reshape(1, 1, 16, 16)
    assert np.array_equal(adjust.posterize(x, 5) * 255, (np.arange(256) // 8 * 8).reshape(x.shape))
    assert np.array_equal(adjust.posterize(x, 0), np.zeros_like(x))
    off = rng.random((1, 1, 5, 5)).astype(np.float32)
    assert np.array_equal(adjust.posterize(off, 8), off)


@pytest.mark.parametrize("shift", [0.0, 1 / 3, 0.5, -0.21, 0.9])
def test_hue_is_that_of_colorsys(shift):
    pixels = FLOATS.transpose(0, 2, 3, 1).reshape(-1, 3)
    hsv = [colorsys.rgb_to_hsv(*p) for p in pixels]
    expected = np.array([colorsys.hsv_to_rgb((h + shift) % 1, s, v) for h, s, v in hsv])
    out = adjust.hue(FLOATS, shift).transpose(0, 2, 3, 1).reshape(-1, 3)
    assert np.allclose(out, expected, atol=1e-12)


def test_hue_has_an_inverse_and_leaves_greys_alone(rng):
    x, shift = rng.random((50, 3, 8, 8)), rng.uniform(-0.5, 0.5, 50)
    assert np.allclose(adjust.hue(adjust.hue(x, shift), -shift), x, atol=1e-13)
    assert np.allclose(adjust.hue(x.astype(np.float32), 0.0), x, atol=1e-6)
    grey = np.repeat(rng.random((4, 1, 8, 8)), 3, axis=1)
    assert np.array_equal(adjust.hue(grey, 0.3), grey)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "sharpness", "hue", "solarize", "posterize"])
@pytest.mark.parametrize("count", [3, 40])
def test_one_number_for_each_image_and_the_input_stays(name, count, rng, monkeypatch):
    monkeypatch.setattr(adjust, "BLOCK", 7 * 3 * 6 * 6)  # seven images at a time
    x = rng.random((count, 3, 6, 6))
    values = rng.integers(0, 9, count) if name == "posterize" else rng.random(count)
    before, function = x.copy(), getattr(adjust, name)
    out = function(x, values)
    assert np.array_equal(x, before) and not np.shares_memory(out, x)
    assert np.array_equal(out, np.concatenate([function(x[n : n + 1], values[n]) for n in range(count)]))


@pytest.mark.parametrize("name", ["saturation", "hue", "greyscale"])
def test_colour_means_nothing_to_one_channel(name, rng):
    x = rng.random((3, 1, 5, 5))
    args = () if name == "greyscale" else (0.3,)
    assert np.array_equal(getattr(adjust, name)(x, *args), x)


def test_autocontrast_does_not_blow_up_rounding_errors(rng):
    x = np.full((1, 3, 4, 4), 0.5) + 1e-9 * rng.random((1, 3, 4, 4))
    assert np.array_equal(adjust.autocontrast(x), x)
    out = adjust.autocontrast(rng.uniform(0.3, 0.4, (5, 3, 9, 9)))
    assert np.array_equal(out.min((2, 3)), np.zeros((5, 3))) and np.array_equal(out.max((2, 3)), np.ones((5, 3)))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: adjust.brightness(FLOATS, -1), "factors >= 0"),
        (lambda: adjust.contrast(FLOATS, np.ones(2)), "one number for each of 6 samples"),
        (lambda: adjust.posterize(FLOATS, 2.5), "whole numbers from 0 to 8"),
        (lambda: adjust.hue(np.zeros((2, 4, 3, 3)), 0.1), "1 or 3 channels"),
        (lambda: augment.ColorJitter(brightness=-1), "ColorJitter: brightness"),
        (lambda: augment.ColorJitter(contrast=(-1, 2)), "nothing below 0"),
        (lambda: augment.ColorJitter(hue=0.6), "share of a turn"),
        (lambda: augment.RandomGrayscale(1.5), "RandomGrayscale: p is a probability"),
        (lambda: augment.RandomPosterize(9), "whole numbers from 0 to 8"),
        (lambda: augment.RandomAdjustSharpness(-1), "factors >= 0"),
        (lambda: augment.RandomShadow((0.5, 1.5)), "share of the light"),
        (lambda: augment.RandomShadow(softness=-1), "number of pixels"),
        (lambda: augment.PCAColor([1, 2, 3], np.eye(2)), "PCAColor.fit"),
        (lambda: augment.PCAColor([1], [[1]], std=-1), "std"),
        (lambda: augment.PCAColor.fit(np.zeros((0, 3, 2, 2))), "no pixels"),
        (lambda: augment.GaussianNoise(sigma=-0.1), "sigma"),
        (lambda: augment.GaussianNoise(mean=np.nan), "mean"),
        (lambda: augment.SpeckleNoise(sigma=(2, 1)), "sigma"),
        (lambda: augment.SaltAndPepper(2), "amount is a probability"),
        (lambda: augment.GaussianBlur(4), "odd"),
        (lambda: augment.GaussianBlur((3, 3, 3)), "odd"),
        (lambda: augment.GaussianBlur(3, sigma=0), "greater than 0"),
        (lambda: augment.MotionBlur(2), "odd"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# random colour


def test_color_jitter_draws_from_its_ranges_and_leaves_out_what_is_zero(rng):
    x = np.full((4000, 1, 1, 1), 0.25)
    factors = augment.ColorJitter(brightness=0.4)(x, None, rng)[0].ravel() / 0.25
    assert 0.6 <= factors.min() < 0.61 and 1.39 < factors.max() <= 1.4
    assert abs(factors.mean() - 1) < 4 * 0.8 / np.sqrt(12 * 4000)
    factors = augment.ColorJitter(brightness=(0.1, 0.2))(x, None, rng)[0].ravel() / 0.25
    assert 0.1 <= factors.min() and factors.max() <= 0.2
    assert np.array_equal(augment.ColorJitter()(FLOATS.copy(), None, rng)[0], FLOATS)


def test_color_jitter_is_its_steps_in_a_random_order():
    """With the amounts fixed, the result is one of the 24 orders, and all of them come."""
    import itertools

    x = np.random.default_rng(0).random((1, 3, 4, 4))
    amounts = {"brightness": 1.3, "contrast": 0.6, "saturation": 1.5, "hue": 0.2}
    jitter = augment.ColorJitter(**{name: (v, v) for name, v in amounts.items()})
    orders = []
    for order in itertools.permutations(amounts):
        out = x
        for name in order:
            out = getattr(adjust, name)(out, amounts[name])
        orders.append(out)
    seen = set()
    for seed in range(100):
        out, _ = jitter(x.copy(), None, np.random.default_rng(seed))
        near = [np.allclose(out, expected, atol=1e-12) for expected in orders]
        assert any(near)
        seen.add(near.index(True))
    assert len(seen) >= 12  # some orders agree, as greyscale and brightness commute


def test_pca_color_is_the_papers_formula(rng):
    x = rng.random((200, 3, 6, 6)) * [[[0.9]], [[0.5]], [[0.2]]]
    x[:, 1] += 0.4 * x[:, 0]
    pca = augment.PCAColor.fit(x, std=0.3)
    covariance = np.cov(x.swapaxes(0, 1).reshape(3, -1), bias=True)
    p = np.array(pca.eigenvectors)
    assert np.allclose(p * pca.eigenvalues @ p.T, covariance) and np.allclose(p.T @ p, np.eye(3))
    assert list(pca.eigenvalues) == sorted(pca.eigenvalues, reverse=True)
    out, _ = pca(np.full((4, 3, 2, 5), 0.5), None, np.random.default_rng(6))
    draws = np.random.default_rng(6).normal(0, 0.3, (4, 3))
    for n in range(4):
        shift = sum(p[:, k] * draws[n, k] * pca.eigenvalues[k] for k in range(3))
        assert np.allclose(out[n], 0.5 + shift[:, None, None], atol=1e-12)
    same = augment.PCAColor.fit(x, std=0.3)
    assert pca == same and hash(pca) == hash(same)
    with pytest.raises(ValueError, match="3 channels"):
        pca(np.zeros((1, 1, 2, 2)), None, rng)


def test_a_shadow_darkens_one_side_of_a_line(rng):
    x = np.ones((300, 3, 12, 16))
    out, _ = augment.RandomShadow(darkness=0.4, softness=0, p=1)(x, None, rng)
    assert np.array_equal(np.unique(out.round(12)), [0.6, 1.0])
    assert np.array_equal(out[:, 0], out[:, 2])
    dark = out[:, 0] < 0.8
    for row in dark.reshape(-1, 16):  # a half-plane: on no row does the shade change twice
        assert np.count_nonzero(np.diff(row)) <= 1
    for column in dark.swapaxes(1, 2).reshape(-1, 12):
        assert np.count_nonzero(np.diff(column)) <= 1
    assert abs(dark.mean() - 0.5) < 4 * 0.5 / np.sqrt(300)
    row, _ = augment.RandomShadow(softness=0, p=1)(np.ones((2000, 1, 1, 100)), None, rng)
    place = np.argmax(np.abs(np.diff(row[:, 0, 0])), axis=1)  # anywhere with equal chance
    assert abs(place.mean() - 49) < 4 * 29 / np.sqrt(2000) and abs(place.std() - 28.6) < 1.5
    soft, _ = augment.RandomShadow(darkness=0.4, softness=6, p=1)(np.ones((50, 1, 20, 20)), None, rng)
    assert np.abs(np.diff(soft, axis=3)).max() <= 0.4 / 6 + 1e-9
    some, _ = augment.RandomShadow(p=0.25, darkness=1.0)(np.ones((2000, 1, 8, 8)), None, rng)
    assert abs((some.min((1, 2, 3)) < 1).mean() - 0.25) < 0.04


def test_a_share_p_of_the_images_changes_and_the_others_stay(rng):
    x = rng.uniform(0.1, 0.4, (3000, 1, 2, 2))
    out, _ = augment.RandomInvert(p=0.3)(x.copy(), None, rng)
    changed = (out != x).any((1, 2, 3))
    assert abs(changed.mean() - 0.3) < 4 * np.sqrt(0.21 / 3000)
    assert np.array_equal(out[changed], 1 - x[changed])
    always = augment.RandomSolarize(0.25, p=1.0)(x.copy(), None, rng)[0]
    assert np.array_equal(always, adjust.solarize(x, 0.25))
    assert np.array_equal(augment.RandomGrayscale(p=0.0)(FLOATS.copy(), None, rng)[0], FLOATS)


# noise and blur


def test_gaussian_noise_is_normal(rng):
    stats = pytest.importorskip("scipy.stats")
    z = augment.GaussianNoise(mean=2.0, sigma=3.0, clip=False)(np.zeros((8, 1, 50, 50)), None, rng)[0].ravel()
    assert stats.kstest((z - 2) / 3, "norm").pvalue > 0.01
    assert abs(np.corrcoef(z[:-1], z[1:])[0, 1]) < 4 / np.sqrt(z.size)
    z = augment.GaussianNoise(sigma=(1, 4), clip=False)(np.zeros((200, 3, 20, 20)), None, rng)[0].std((1, 2, 3))
    assert stats.kstest(z, stats.uniform(1, 3).cdf).pvalue > 0.01
    x = rng.uniform(1, 3, (10, 3, 20, 20))
    speckle = augment.SpeckleNoise(0.5, clip=False)(x.copy(), None, rng)[0] / x - 1
    assert stats.kstest(speckle.ravel() / 0.5, "norm").pvalue > 0.01


def test_salt_and_pepper(rng):
    x = rng.uniform(0.2, 0.8, (40, 3, 30, 30))
    out, _ = augment.SaltAndPepper(0.1)(x.copy(), None, rng)
    lost = (out != x)[:, 0]
    assert np.array_equal(out[:, 0] != x[:, 0], out[:, 2] != x[:, 2])  # whole pixels
    assert abs(lost.mean() - 0.1) < 4 * np.sqrt(0.09 / lost.size)
    assert np.array_equal(out[:, 0][lost], out[:, 2][lost])
    values = out[:, 1][lost]
    assert set(values) == {0.0, 1.0} and abs(values.mean() - 0.5) < 4 * 0.5 / np.sqrt(lost.sum())


@pytest.mark.parametrize("size", [(3, 3), (7, 7), (5, 9)])
def test_gaussian_blur_is_that_of_scipy(size, rng):
    ndimage = pytest.importorskip("scipy.ndimage")
    x, sigma = rng.random((3, 3, 14, 11)), 1.3
    out, _ = augment.GaussianBlur(size, sigma)(x.copy(), None, rng)
    across, down = size
    expected = ndimage.gaussian_filter(
        x, (0, 0, sigma, sigma), mode="mirror", radius=(0, 0, down // 2, across // 2)
    )
    assert np.allclose(out, expected, atol=1e-12)


def test_blur_with_a_kernel_larger_than_the_image_and_of_a_constant(rng):
    ndimage = pytest.importorskip("scipy.ndimage")
    x = rng.random((2, 1, 4, 3))
    out, _ = augment.GaussianBlur(11, 2.0)(x.copy(), None, rng)
    assert np.allclose(out, ndimage.gaussian_filter(x, (0, 0, 2, 2), mode="mirror", radius=(0, 0, 5, 5)), atol=1e-12)
    for transform in (augment.GaussianBlur(5), augment.MotionBlur(7)):
        assert np.allclose(transform(np.full((4, 3, 9, 9), 0.3), None, rng)[0], 0.3, atol=1e-12)


def test_each_image_has_its_own_sigma(rng):
    x = np.zeros((200, 1, 9, 9))
    x[:, :, 4, 4] = 1
    out, _ = augment.GaussianBlur(7, (0.5, 1.5))(x, None, rng)
    sigma = np.sqrt(0.5 / np.log(out[:, 0, 4, 4] / out[:, 0, 4, 5]))
    assert sigma.min() >= 0.5 and sigma.max() <= 1.5 and abs(sigma.mean() - 1) < 4 / np.sqrt(12 * 200)


@pytest.mark.parametrize("angle", [0.0, 90.0, 45.0, 33.0, -120.0])
def test_motion_blur_is_the_mean_along_a_line(angle, rng):
    ndimage = pytest.importorskip("scipy.ndimage")
    x, length = rng.random((2, 3, 11, 13)), 5
    out, _ = augment.MotionBlur(length, (angle, angle))(x.copy(), None, rng)
    expected = np.zeros_like(x)
    rows, columns = np.mgrid[0:11, 0:13]
    for step in range(-2, 3):  # one pixel apart, counter-clockwise with rows counted downwards
        at = [rows - step * np.sin(np.radians(angle)), columns + step * np.cos(np.radians(angle))]
        for n in range(2):
            for c in range(3):
                expected[n, c] += ndimage.map_coordinates(x[n, c], at, order=1, mode="mirror") / length
    assert np.allclose(out, expected, atol=1e-12)


def test_motion_blur_kernels(rng):
    kernels = blur.lines(7, rng.uniform(0, 7, 100))
    assert kernels.shape == (100, 7, 7) and np.allclose(kernels.sum((1, 2)), 1)
    assert np.allclose(kernels, kernels[:, ::-1, ::-1])  # symmetric about the pixel
