"""Geometric augmentation: exact where it moves whole pixels, SciPy's values between them, undone by its inverse."""

import numpy as np
import pytest

from minidl import data
from minidl.data import augment
from minidl.data.augment.crop import crop, pad
from minidl.data.augment.distort import homography, projected, smooth
from minidl.data.augment.resize import resize
from minidl.data.augment.warp import affine, warp

SCIPY = {"constant": "grid-constant", "reflect": "mirror", "edge": "nearest"}
FILLS = pytest.mark.parametrize("fill", list(SCIPY))
ALL = [
    augment.RandomHorizontalFlip(), augment.RandomVerticalFlip(), augment.RandomCrop(7, padding=2, fill="reflect"),
    augment.RandomCrop((5, 8)), augment.CenterCrop(5), augment.RandomRotation(40, fill="edge"),
    augment.RandomAffine(30, (0.2, 0.1), (0.7, 1.4), (-10, 10, -5, 5), fill="reflect"), augment.Resize((7, 12)),
    augment.RandomResizedCrop(6), augment.ElasticTransform(8, 2), augment.LensDistortion(0.3, 0.1),
    augment.RandomPerspective(0.4, p=0.7),
]  # fmt: skip
each_transform = pytest.mark.parametrize("transform", ALL, ids=lambda t: type(t).__name__)
MOVES = tuple(t for t in ALL if "Flip" in repr(t) or "Crop" in repr(t) and "Resized" not in repr(t))


@pytest.fixture
def ndimage():
    return pytest.importorskip("scipy.ndimage")


def blobs(n=3, size=40):
    """Smooth images that are dark around: a random blob in each channel."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    cx, cy, s = rng.uniform(-4, 4, (3, n, 2, 1, 1))
    return np.exp(-((x - cx) ** 2 + (y - cy) ** 2 * (1 + s / 8)) / 30)


# --- warp and affine -------------------------------------------------------------------------------------------------


@FILLS
def test_warp_is_map_coordinates(ndimage, backend, rng, fill):
    x, source = rng.random((3, 2, 6, 7)), rng.uniform(-9, 15, (3, 2, 5, 4))
    out = warp(x, source, fill, value=0.3)
    for n, c in np.ndindex(3, 2):
        expected = ndimage.map_coordinates(x[n, c], source[n, ::-1], order=1, mode=SCIPY[fill], cval=0.3)
        np.testing.assert_allclose(out[n, c], expected, atol=1e-12)


@FILLS
def test_affine_is_affine_transform(ndimage, rng, fill):
    """Each image by its own numbers, against the matrix of the definition inverted by NumPy."""
    x = rng.random((4, 2, 9, 12))
    angle, scale, right, down, sx, sy = rng.uniform([[-180], [0.5], [-3], [-3], [-40], [-30]],
                                                    [[180], [2], [3], [3], [40], [30]], (6, 4))  # fmt: skip
    out = affine(x, angle, (right, down), scale, (sx, sy), fill, 0.2)
    centre = np.array([(12 - 1) / 2, (9 - 1) / 2])
    for n in range(4):
        a, tx, ty = np.radians(angle[n]), np.tan(np.radians(sx[n])), np.tan(np.radians(sy[n]))
        turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])  # counter-clockwise, y pointing down
        forward = scale[n] * turn @ [[1, 0], [-ty, 1]] @ [[1, -tx], [0, 1]]
        back = np.linalg.inv(forward)
        offset = centre - back @ (centre + [right[n], down[n]])
        for c in range(2):
            expected = ndimage.affine_transform(
                x[n, c], back[::-1, ::-1], offset[::-1], order=1, mode=SCIPY[fill], cval=0.2
            )
            np.testing.assert_allclose(out[n, c], expected, atol=1e-12)


def test_rotation_and_shift_are_scipys(ndimage):
    x = blobs()
    turned, moved = affine(x, 30), affine(x, translate=(1.25, -2.5))
    for n, c in np.ndindex(3, 2):
        options = {"order": 1, "mode": "grid-constant"}
        np.testing.assert_allclose(turned[n, c], ndimage.rotate(x[n, c], 30, reshape=False, **options), atol=1e-12)
        np.testing.assert_allclose(moved[n, c], ndimage.shift(x[n, c], (-2.5, 1.25), **options), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_right_angles_and_whole_pixels_are_exact(backend, rng, dtype):
    x = rng.random((3, 2, 8, 8)).astype(dtype)
    for k in range(-5, 6):
        np.testing.assert_array_equal(affine(x, 90 * k), np.rot90(x, k, (2, 3)))
    np.testing.assert_array_equal(affine(x[:, :, :5], 180), x[:, :, 4::-1, ::-1])
    np.testing.assert_array_equal(affine(x[:, :, 1:, :5]), x[:, :, 1:, :5])
    right, down = np.array([0, 3, -2]), np.array([1, -4, 0])
    for fill, mode in {"constant": "constant", "reflect": "reflect", "edge": "edge"}.items():
        moved = affine(x, translate=(right, down), fill=fill)
        for image, result, r, d in zip(x, moved, right, down, strict=True):
            framed = np.pad(image, ((0, 0), (4, 4), (4, 4)), mode)
            np.testing.assert_array_equal(result, framed[:, 4 - d : 12 - d, 4 - r : 12 - r])
    turned = [affine(np.rot90(x, k, (2, 3)), translate=(right, down))[i] for i, k in enumerate((1, 2, 3))]
    np.testing.assert_array_equal(affine(x, [90, 180, 270], (right, down)), turned)  # first turned, then moved


def test_affine_is_undone_by_its_inverse():
    """Rotation by -a, scale 1/s, and shear -s; smooth images come back but for what two interpolations blur."""
    x = blobs()
    for there, back in [
        ({"angle": 25}, {"angle": -25}), ({"scale": 1.5}, {"scale": 1 / 1.5}), ({"shear": (9, 0)}, {"shear": (-9, 0)}),
        ({"shear": (0, 15)}, {"shear": (0, -15)}), ({"translate": (2.5, -1.3)}, {"translate": (-2.5, 1.3)}),
    ]:  # fmt: skip
        moved = affine(x, **there)
        assert np.abs(moved - x).max() > 0.1
        np.testing.assert_allclose(affine(moved, **back), x, atol=0.05)


def test_directions():
    """The content moves by these amounts."""
    x = np.zeros((1, 1, 5, 5))
    x[0, 0, 1, 2] = 1  # above the centre
    where = lambda image: tuple(int(i) for i in np.argwhere(image[0, 0] > 0.5)[0])  # noqa: E731
    assert where(affine(x, 90)) == (2, 1)  # counter-clockwise: to the left
    assert where(affine(x, translate=(2, 1))) == (2, 4)
    assert where(affine(x, scale=2)) == (0, 2)
    assert where(affine(x, shear=(45, 0))) == (1, 3)  # above, to the right
    x = np.rot90(x, -1, (2, 3))
    assert where(x) == (2, 3) and where(affine(x, shear=(0, 45))) == (1, 3)  # on the right, up


def test_errors_of_affine_and_warp(rng):
    x, source = np.zeros((2, 1, 4, 4)), np.zeros((2, 2, 4, 4))
    for kwargs, message in [
        ({"scale": 0}, "scale is positive, not 0"), ({"scale": [1, -2]}, "flips"), ({"shear": (90, 0)}, "shear lies"),
        ({"angle": [1, 2, 3]}, "angle is a finite number, or one for each of 2"), ({"angle": np.nan}, "angle is a fin"),
        ({"fill": "wrap"}, "fill is one of constant, reflect, edge, not 'wrap'"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=message):
            affine(x, **kwargs)
    with pytest.raises(ValueError, match=r"source .* must be \(N, 2, H', W'\)"):
        warp(x, source[:1])
    with pytest.raises(TypeError, match=r"put data.ToFloat\(\) before it"):
        affine(x.astype(np.uint8))


# --- flips and crops --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [augment.RandomHorizontalFlip, augment.RandomVerticalFlip])
def test_flips(rng, kind):
    x = rng.integers(0, 255, (4000, 1, 3, 2), np.uint8)
    mirrored = x[..., ::-1] if kind is augment.RandomHorizontalFlip else x[:, :, ::-1]
    np.testing.assert_array_equal(kind(1)(x.copy(), None, rng)[0], mirrored)
    np.testing.assert_array_equal(kind(0)(x.copy(), None, rng)[0], x)
    twice = kind(1)(kind(1)(x.copy(), None, rng)[0], None, rng)[0]
    np.testing.assert_array_equal(twice, x)
    out, flipped = kind(0.3)(x.copy(), None, rng)[0], (mirrored != x).any((1, 2, 3))
    changed = (out != x).any((1, 2, 3))
    np.testing.assert_array_equal(out, np.where(changed[:, None, None, None], mirrored, x))
    assert abs(changed[flipped].mean() - 0.3) < 4 * np.sqrt(0.21 / flipped.sum())


def test_crops_are_uniform(rng):
    """Of 8x8 numbered pixels, padded by 1, parts of 4x7 have 7 x 4 places: chi-squared against equal shares."""
    n = 14_000
    x = np.broadcast_to(np.arange(1, 65, dtype=np.int16).reshape(1, 1, 8, 8), (n, 1, 8, 8))
    out, y = augment.RandomCrop((4, 7), padding=1)(x, np.arange(n), rng)
    framed = np.pad(x[0, 0], 1)
    parts = {framed[i : i + 4, j : j + 7].tobytes(): k for k, (i, j) in enumerate(np.ndindex(7, 4))}
    counts = np.bincount([parts[part.tobytes()] for part in out], minlength=28)
    expected = n / 28
    assert ((counts - expected) ** 2 / expected).sum() < 55.5 and (y == np.arange(n)).all()  # 27 degrees, 0.1 %


@FILLS
def test_padding(rng, fill):
    x = rng.random((2, 3, 5, 4), np.float32)
    options = {"constant_values": 0.5} if fill == "constant" else {}
    np.testing.assert_array_equal(pad(x, 3, fill, 0.5), np.pad(x, ((0, 0), (0, 0), (3, 3), (3, 3)), fill, **options))


def test_crop_takes_each_images_own_part(rng):
    x = rng.random((5, 3, 9, 8))
    top, left = rng.integers(0, 6, 5), rng.integers(0, 3, 5)
    out = crop(x, top, left, (4, 6))
    for image, part, i, j in zip(x, out, top, left, strict=True):
        np.testing.assert_array_equal(part, image[:, i : i + 4, j : j + 6])
    assert not np.shares_memory(out, x)


def test_five_and_ten_crops(rng):
    x = rng.integers(0, 255, (2, 3, 7, 8), np.uint8)
    five = augment.five_crop(x, (4, 5))
    expected = x[:, :, :4, :5], x[:, :, :4, -5:], x[:, :, -4:, :5], x[:, :, -4:, -5:], x[:, :, 1:5, 1:6]
    for part, wanted in zip(five, expected, strict=True):
        np.testing.assert_array_equal(part, wanted)
    np.testing.assert_array_equal(augment.CenterCrop((4, 5))(x, None, rng)[0], five[4])
    for vertical, mirrored in ((False, x[..., ::-1]), (True, x[:, :, ::-1])):
        ten = augment.ten_crop(x, (4, 5), vertical)
        assert len(ten) == 10
        for part, wanted in zip(ten, five + augment.five_crop(mirrored, (4, 5)), strict=True):
            np.testing.assert_array_equal(part, wanted)


# --- resizing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", [(13, 4), (3, 20), (7, 9), 1, (14, 18)])
def test_resize_is_torchs(torch, rng, size, antialias):
    x = rng.random((2, 3, 7, 9))
    size = (size, size) if isinstance(size, int) else size
    expected = torch.nn.functional.interpolate(torch.tensor(x), size, mode="bilinear", antialias=antialias)
    np.testing.assert_allclose(resize(x, size, antialias), expected.numpy(), atol=1e-12)


def test_resize_is_zoom(ndimage, rng):
    x = rng.random((8, 6))
    expected = ndimage.zoom(x, 2, order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(resize(x[None, None], (16, 12))[0, 0], expected, atol=1e-12)
    np.testing.assert_array_equal(resize(x[None, None], (8, 6))[0, 0], x)
    np.testing.assert_allclose(resize(x[None, None], (4, 3)).mean(), x.mean(), rtol=0.05)


def test_boxes_are_crops_resized(rng):
    x = rng.random((40, 2, 12, 15), np.float32)
    transform = augment.RandomResizedCrop((5, 6), scale=(0.1, 0.9))
    state = rng.bit_generator.state
    top, left, tall, wide = transform.boxes(40, 12, 15, rng)
    rng.bit_generator.state = state
    out, _ = transform(x, None, rng)
    for n in range(40):
        part = x[n : n + 1, :, top[n] : top[n] + tall[n], left[n] : left[n] + wide[n]]
        np.testing.assert_allclose(out[n : n + 1], resize(part, (5, 6)), atol=1e-6)
    with pytest.raises(ValueError, match="boxes must have pixels and lie inside"):
        resize(x, 4, box=(0, 0, 13, 3))


def test_boxes_have_the_asked_areas_and_ratios(rng):
    n, height, width = 4000, 300, 260
    top, left, tall, wide = augment.RandomResizedCrop(8, (0.2, 0.5), (0.8, 1.25)).boxes(n, height, width, rng)
    share, ratio = tall * wide / (height * width), np.log(wide / tall)
    assert 0.195 < share.min() and share.max() < 0.505 and np.abs(ratio).max() < np.log(1.25) + 0.02
    assert abs(share.mean() - 0.35) < 4 * 0.3 / np.sqrt(12 * n) and abs(ratio.mean()) < 4 * 0.447 / np.sqrt(12 * n)
    assert min(top.min(), left.min()) == 0 and (top + tall).max() == height and (left + wide).max() == width
    top, left, tall, wide = augment.RandomResizedCrop(8, (1, 1), (3, 4)).boxes(5, 20, 30, rng)  # nothing ever fits
    assert (tall == 10).all() and (wide == 30).all() and (top == 5).all() and (left == 0).all()


# --- random affine maps and bent images -------------------------------------------------------------------------------


def test_random_affine_draws_what_was_asked(monkeypatch, rng):
    """What reaches `affine`, and that a translation alone moves whole pixels."""
    seen = {}

    def spy(x, angle, translate, scale, shear, fill, value):
        seen.update(angle=angle, right=translate[0], down=translate[1], scale=scale, sx=shear[0], sy=shear[1])
        return x

    monkeypatch.setattr("minidl.data.augment.geometric.affine", spy)
    x = np.zeros((3000, 1, 10, 20), np.float32)
    augment.RandomAffine((10, 30), (0.1, 0.5), (0.5, 2), (-5, 5, 1, 2))(x, None, rng)
    ranges = {"angle": (10, 30), "right": (-2, 2), "down": (-5, 5), "scale": (0.5, 2), "sx": (-5, 5), "sy": (1, 2)}
    for name, (low, high) in ranges.items():
        drawn = seen[name]
        assert drawn.shape == (3000,) and low <= drawn.min() and drawn.max() <= high, name
        assert abs(drawn.mean() - (low + high) / 2) < 0.03 * (high - low) and np.ptp(drawn) > 0.98 * (high - low), name
    assert (seen["right"] == np.rint(seen["right"])).all() and (seen["down"] == np.rint(seen["down"])).all()
    augment.RandomAffine(0)(x, None, rng)
    assert not np.any([seen[k] for k in ("angle", "right", "down", "sx", "sy")]) and (seen["scale"] == 1).all()


def test_every_image_has_its_own_rotation(rng):
    x = np.repeat(blobs(1, 20)[:, :1], 6, axis=0)
    out, _ = augment.RandomRotation((30, 60))(x, None, rng)
    assert len({image.tobytes() for image in out}) == 6
    low, high = affine(x, 30), affine(x, 60)
    np.testing.assert_array_equal(augment.RandomRotation((30, 30))(x, None, rng)[0], low)
    assert (np.abs(out - low).max((1, 2, 3)) > 0).all() and (np.abs(out - high).max((1, 2, 3)) > 0).all()


def test_smoothing_is_a_gaussian_filter(ndimage, rng):
    x = rng.standard_normal((2, 9, 14))
    for sigma in (0.7, 2.0, 4.0):  # four sigma reach beyond the image
        expected = np.stack([ndimage.gaussian_filter(plane, sigma) for plane in x])
        np.testing.assert_allclose(smooth(x, sigma), expected, atol=1e-12)


def test_elastic_displacement(rng):
    """An image of x coordinates shows the displacement itself: smooth, and as large as the docstring says."""
    size, alpha, sigma = 64, 20.0, 4.0
    x = np.broadcast_to(np.arange(size, dtype=float), (60, 1, size, size))
    moved = augment.ElasticTransform(alpha, sigma, fill="edge")(x, None, rng)[0] - x
    inner = moved[:, 0, 16:-16, 16:-16]
    assert inner.std() == pytest.approx(0.163 * alpha / sigma, rel=0.1) and abs(inner.mean()) < 0.1
    neighbours = np.corrcoef(inner[:, :, 1:].ravel(), inner[:, :, :-1].ravel())[0, 1]
    assert neighbours == pytest.approx(np.exp(-1 / (4 * sigma**2)), abs=0.005)  # of white noise through a Gaussian
    np.testing.assert_array_equal(augment.ElasticTransform(0)(x, None, rng)[0], x)


def test_lens(rng):
    """An image of x coordinates shows where the content comes from, as in Brown's formula."""
    size = 21
    x = np.broadcast_to(np.arange(size, dtype=float), (2, 1, size, size))
    k1, k2 = 0.2, -0.05
    out = augment.LensDistortion((k1, k1), (k2, k2), fill="constant", value=-1)(x, None, rng)[0][0, 0]
    for i, j in np.ndindex(size, size):
        dx, dy = j - 10, i - 10
        r = np.sqrt((dx**2 + dy**2) / 200)
        u, v = 10 + dx * (1 + k1 * r**2 + k2 * r**4), 10 + dy * (1 + k1 * r**2 + k2 * r**4)
        if 0 <= u <= 20 and 0 <= v <= 20:
            assert out[i, j] == pytest.approx(u)
    assert out[10, 10] == 10 and out[0, 0] == -1  # barrel: the corners show what lies outside
    np.testing.assert_array_equal(augment.LensDistortion(0)(x, None, rng)[0], x)


def test_lens_is_undone_by_the_inverse_of_its_formula():
    x, k = blobs(), 0.15
    bent = augment.LensDistortion((k, k))(x, None, np.random.default_rng(0))[0]
    centre, corner = 19.5, 19.5 * np.sqrt(2)
    away = np.stack(np.meshgrid(*[np.arange(40.0) - centre] * 2))
    r = s = np.sqrt((away**2).sum(0)) / corner
    for _ in range(60):  # s (1 + k s^2) = r
        s = r / (1 + k * s**2)
    back = centre + away * (s / r)
    np.testing.assert_allclose(warp(bent, np.broadcast_to(back, (3, 2, 40, 40))), x, atol=0.03)


def test_perspective(rng):
    corners = np.array([[0, 0], [9, 0], [0, 7], [9, 7]], float)
    moved = corners + rng.uniform(-2, 2, (5, 4, 2))
    there, back = homography(corners, moved), homography(moved, corners)
    landed = projected(there, 8, 10)[:, :, [0, 0, 7, 7], [0, 9, 0, 9]].swapaxes(1, 2)
    np.testing.assert_allclose(landed, moved, atol=1e-9)
    product = there @ back
    np.testing.assert_allclose(product / product[:, 2:, 2:], np.broadcast_to(np.eye(3), (5, 3, 3)), atol=1e-9)
    x = rng.random((6, 2, 8, 10))
    np.testing.assert_array_equal(augment.RandomPerspective(0.5, p=0)(x.copy(), None, rng)[0], x)
    np.testing.assert_allclose(augment.RandomPerspective(0, p=1)(x.copy(), None, rng)[0], x, atol=1e-9)
    tilted = augment.RandomPerspective(0.5, p=1, value=-1)(np.ones((300, 1, 20, 20)), None, rng)[0]
    assert (tilted[:, 0, 5:15, 5:15] > 0.99).all()
    for side in (tilted[:, 0, 0], tilted[:, 0, -1], tilted[:, 0, :, 0], tilted[:, 0, :, -1]):
        assert ((side < 0.99).mean(0) > 0.9).all()  # the corners move inwards, and so all sides do
    assert augment.RandomPerspective(p=1)(x[:, :, :1], None, rng)[0].shape == (6, 2, 1, 10)


# --- what holds for all -----------------------------------------------------------------------------------------------


@each_transform
def test_the_contract(transform, rng):
    """dtype kept, y handed on, reproducible, each image its own draw; batches of none and of one, any strides."""
    image, y = rng.random((1, 3, 9, 10)), np.arange(16)
    for dtype in (np.float32, np.float64, *([np.uint8] if transform in MOVES else [])):
        x = np.repeat((image * 255 if dtype == np.uint8 else image).astype(dtype), 16, axis=0)
        first, same = (transform(x.copy(), y, np.random.default_rng(3)) for _ in range(2))
        assert first[0].dtype == dtype and first[1] is y and len(first[0]) == 16
        np.testing.assert_array_equal(first[0], same[0])
        different = len({result.tobytes() for result in first[0]})
        assert different == 1 if "Center" in repr(transform) or "Resize(" in repr(transform) else different > 1
        strided = np.repeat(x, 2, axis=3)[..., ::2]
        np.testing.assert_array_equal(transform(strided, y, np.random.default_rng(3))[0], first[0])
        assert transform(x[:0], y[:0], rng)[0].shape == (0, *first[0].shape[1:])
        assert transform(x[:1].copy(), None, rng)[0].shape == (1, *first[0].shape[1:])
    with pytest.raises(ValueError, match=r"takes a batch of images \(N, C, H, W\)"):
        transform(x[0], None, rng)
    if transform not in MOVES:
        with pytest.raises(TypeError, match=r"put data.ToFloat\(\) before it"):
            transform(np.zeros((2, 1, 9, 9), np.uint8), None, rng)
    assert eval(repr(transform), vars(augment)) == transform


def test_in_a_loader():
    x = np.random.default_rng(0).random((20, 1, 8, 8), np.float32)
    chain = data.Compose([augment.RandomHorizontalFlip(), augment.RandomCrop(8, padding=1), augment.RandomRotation(10)])
    loader = data.DataLoader(data.Dataset(x, np.arange(20)), batch_size=8, transform=chain)
    assert [tuple(images.shape) for images, _ in loader] == [(8, 1, 8, 8), (8, 1, 8, 8), (4, 1, 8, 8)]
    assert repr(chain).splitlines()[3] == "  RandomRotation(degrees=10, fill='constant', value=0.0)"


@pytest.mark.parametrize("make, message", [
    (lambda: augment.RandomHorizontalFlip(1.5), "p is a probability"),
    (lambda: augment.RandomRotation(-3), "degrees is a number >= 0 or a pair"),
    (lambda: augment.RandomRotation(3, fill="zero"), "fill is one of constant, reflect, edge"),
    (lambda: augment.RandomAffine(0, translate=(0.1, 2)), "translate is a pair of shares"),
    (lambda: augment.RandomAffine(0, translate=0.1), "translate is a pair of shares"),
    (lambda: augment.RandomAffine(0, scale=(0, 1)), "scale is a pair .* positive"),
    (lambda: augment.RandomAffine(0, shear=90), "shear lies between"),
    (lambda: augment.RandomCrop(0), "RandomCrop: size must be an integer >= 1"),
    (lambda: augment.RandomCrop(3, padding=-1), "padding must be an integer >= 0"),
    (lambda: augment.RandomCrop(12)(np.zeros((1, 1, 8, 8)), None, None), "parts of 12x12 do not fit .* pad or resize"),
    (lambda: augment.five_crop(np.zeros((1, 1, 8, 8)), 9), "five_crop: parts of 9x9 do not fit"),
    (lambda: crop(np.zeros((2, 1, 8, 8)), [0, 5], 0, 4), "must lie inside"),
    (lambda: pad(np.zeros((2, 1, 8, 8), np.uint8), 1, value=0.5), "cannot hold the value 0.5"),
    (lambda: augment.RandomResizedCrop(4, scale=(0, 1)), "scale is a pair"),
    (lambda: augment.RandomResizedCrop(4, ratio=(2, 1)), "ratio is a pair"),
    (lambda: augment.Resize((3, 0)), "size must be"),
    (lambda: augment.ElasticTransform(-1), "alpha >= 0 and sigma > 0"),
    (lambda: augment.ElasticTransform(1, 0), "alpha >= 0 and sigma > 0"),
    (lambda: augment.LensDistortion((2, 1)), "k1 is a number"),
    (lambda: augment.RandomPerspective(1.5), "distortion_scale is a probability"),
])  # fmt: skip
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
