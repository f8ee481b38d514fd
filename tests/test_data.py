"""minidl.data: sets, files, downloads, splits, transforms, loader."""

import collections
import gzip
import hashlib
import http.server
import io
import json
import struct
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl import data, random
from minidl.data import cifar, download, mnist, splits
from minidl.engine import Tensor


def numbered(n, classes=3):
    """A set whose samples tell their number: x[i] = (i, -i)."""
    i = np.arange(n)
    return data.Dataset(np.stack([i, -i], 1).astype(np.float32), i % classes)


def order_of(loader):
    return [batch[0].numpy()[:, 0].astype(int).tolist() for batch in loader]


# ---- Dataset ---------------------------------------------------------------------------------------------------------


def test_dataset_indexing():
    d = numbered(10)
    x, y = d[3]
    assert x.tolist() == [3, -3] and y == 0
    for index in (slice(2, 8, 2), [2, 4, 6], np.array([2, 4, 6]), np.isin(np.arange(10), (2, 4, 6))):
        x, y = d[index]
        assert x[:, 0].tolist() == [2, 4, 6] and y.tolist() == [2, 1, 0]
        assert d.subset(index).x[:, 0].tolist() == [2, 4, 6]
    assert d[-1][0][0] == 9 and d[np.int64(9)][0][0] == 9
    assert len(d[[]][0]) == 0 and len(d.subset(np.zeros(10, bool))) == 0
    assert [int(x[0]) for x, _ in d] == list(range(10))
    assert data.Dataset(d.x)[2].tolist() == [2, -2] and data.Dataset(d.x).y is None
    assert len(data.Dataset(d.x, d.y, d.y)[0]) == 3


def test_dataset_keeps_dtype_and_memory_and_cannot_be_written_to():
    x, y = np.zeros((4, 2)), np.zeros(4, np.uint8)
    d = data.Dataset(x, y)
    assert d.x.dtype == np.float64 and d.y.dtype == np.uint8 and np.shares_memory(d.x, x)
    assert data.Dataset([[1.0], [2.0]]).x.dtype == np.float32
    assert data.Dataset(Tensor([1.0, 2.0])).x.tolist() == [1, 2]
    for view in (d.x, d[0][0], d[1:3][0]):
        with pytest.raises(ValueError, match="read-only"):
            view[...] = 1
    d[[0, 1]][0][...] = 1  # a copy
    assert x.sum() == 0 and x.flags.writeable


def test_dataset_names():
    d = data.Dataset([[1.0], [2.0]], [0, 1], classes=["no", "yes"], name="answers")
    assert d.classes == ("no", "yes") and repr(d) == "Dataset('answers', x=(2, 1) float32, y=(2,) int64, 2 classes)"
    part = d.subset([1])
    assert part.classes == d.classes and part.name == "answers"
    soft = d.map(data.OneHot(2))
    assert soft.classes is None and soft.y.tolist() == [[1, 0], [0, 1]] and d.y.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: data.Dataset(), TypeError, "at least one array"),
        (lambda: data.Dataset(np.ones((3, 2)), [0, 1]), ValueError, r"x=\(3, 2\).*y=\(2,\).*differ in length"),
        (lambda: data.Dataset(3.0), ValueError, "x is the single number"),
        (lambda: data.Dataset([[1.0], [1.0, 2.0]]), ValueError, "Pad or crop"),
        (lambda: data.Dataset([[1.0]], ["cat"]), TypeError, "y must hold.*return_inverse"),
        (lambda: data.Dataset([[1.0]], [None]), TypeError, "not object"),
        (lambda: data.Dataset([[1.0]], [2], classes="ab"), ValueError, "from 2 to 2.*0..1"),
        (lambda: data.Dataset([[1.0]], [-1], classes="ab"), ValueError, "from -1"),
        (lambda: data.Dataset([[1.0]], [0.5], classes="ab"), ValueError, "integer labels"),
        (lambda: data.Dataset([[1.0]], classes="ab"), ValueError, "integer labels"),
        (lambda: numbered(3)[1, 0], TypeError, "indexed by samples"),
        (lambda: numbered(3)[...], TypeError, "indexed by samples"),
        (lambda: numbered(3)[None], TypeError, "indexed by samples"),
        (lambda: numbered(3)[1.5], IndexError, "integer"),
        (lambda: numbered(3)[3], IndexError, "out of bounds"),
        (lambda: numbered(3)[[True]], IndexError, "boolean"),
        (lambda: numbered(3).subset(1), TypeError, r"dataset\[1\]"),
        (lambda: data.Dataset([1], [1], [1]).map(data.Flatten()), ValueError, "3 arrays"),
        (lambda: numbered(3).map(data.Flatten), TypeError, r"did you mean Flatten\(\)"),
    ],
)
def test_dataset_teaches(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ---- the sets of the package -----------------------------------------------------------------------------------------


def test_digits_are_scikit_learns():
    theirs = pytest.importorskip("sklearn.datasets").load_digits()
    d = data.load_digits()
    assert d.x.dtype == np.float32 and d.y.dtype == np.int64 and d.x.flags.c_contiguous
    assert np.array_equal(d.x[:, 0] * 16, theirs.images) and np.array_equal(d.y, theirs.target)
    assert d.x.shape == (1797, 1, 8, 8) and d.classes == tuple("0123456789")


def test_digits_without_scikit_learn():
    d = data.load_digits()
    assert np.bincount(d.y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert d.x.min() == 0 and d.x.max() == 1 and (d.x * 16 % 1 == 0).all()


SETS_2D = {"moons": 2, "circles": 2, "spirals": 2, "blobs": 3, "xor": 2}


@pytest.mark.parametrize("name", SETS_2D)
def test_point_sets(name):
    make, classes = getattr(data, name), SETS_2D[name]
    x, y = make(101, rng=0)
    assert x.shape == (101, 2) and x.dtype == np.float32 and y.shape == (101,) and y.dtype == np.int64
    counts = np.bincount(y)
    assert len(counts) == classes and np.ptp(counts) <= 1 + (name == "xor")
    assert all(np.array_equal(a, b) for a, b in zip((x, y), make(101, rng=0), strict=True))
    assert not np.array_equal(x, make(101, rng=1)[0])
    random.manual_seed(4)
    first = make(20)[0]
    random.manual_seed(4)
    random.generator("shuffle").random(3)
    assert np.array_equal(first, make(20)[0])
    assert len(np.unique(y[:20])) > 1  # in random order
    spread = make(2000, noise=0.5, rng=0)[0] - make(2000, noise=0.0, rng=0)[0]
    assert abs(spread.std() - 0.5) < 0.03


def test_point_sets_lie_where_they_should():
    x, y = data.circles(100, noise=0, factor=0.3, rng=0)
    np.testing.assert_allclose(np.hypot(*x.T), np.where(y == 1, 0.3, 1), rtol=1e-6)
    x, y = data.moons(100, noise=0, rng=0)
    middle = np.where(y[:, None] == 1, (1, 0.5), (0, 0))
    np.testing.assert_allclose(np.hypot(*(x - middle).T), 1, rtol=1e-6)
    assert (x[y == 0, 1] >= 0).all() and (x[y == 1, 1] <= 0.5).all()
    x, y = data.xor(100, noise=0.1, rng=0)
    assert np.array_equal(y, (x[:, 0] > 0) ^ (x[:, 1] > 0))
    x, y = data.blobs(60, centres=[[0, 0, 9], [9, 0, 0]], noise=0, rng=0)
    assert np.array_equal(x, np.float32([[0, 0, 9], [9, 0, 0]])[y])
    x, y = data.spirals(300, arms=3, turns=1.5, noise=0, rng=0)
    r, angle = np.hypot(*x.T), np.arctan2(x[:, 1], x[:, 0])
    turn = (angle / (2 * np.pi) - 1.5 * r - y / 3) % 1
    assert np.minimum(turn, 1 - turn).max() < 1e-5


def test_shapes():
    x, y = data.shapes(60, size=24, rng=0)
    assert x.shape == (60, 1, 24, 24) and x.dtype == np.float32 and y.dtype == np.int64
    assert x.min() >= 0 and x.max() <= 1 and np.bincount(y).tolist() == [10] * 6
    assert np.array_equal(x, data.shapes(60, size=24, rng=0)[0])
    assert data.shapes(3, size=9, channels=3, rng=0)[0].shape == (3, 3, 9, 9)
    x, y = data.shapes(4, size=1024, classes=["ring", "circle"], rng=0)  # drawn in several blocks
    assert x.shape == (4, 1, 1024, 1024) and (x.std((1, 2, 3)) > 0.05).all() and x.max() <= 1


def test_shapes_have_the_area_they_should():
    """Pixel sums against the areas of the outlines, for radius r in pixels: the drawing is right to a few per cent."""
    area = {"circle": np.pi, "square": 1.7**2, "triangle": 0.75 * 3**0.5, "cross": 2 * 1.2 - 0.36,
            "ring": np.pi * 0.75, "diamond": 2.0}  # fmt: skip
    for name in data.SHAPES:
        rng = np.random.default_rng(0)
        x, _ = data.shapes(8, size=64, classes=[name], noise=0, rng=rng)
        rng = np.random.default_rng(0)
        rng.permutation(8)
        r = rng.uniform(0.2, 0.4, 8) * 64
        ground = x.min((1, 2, 3), keepdims=True)
        cover = ((x - ground) / (x.max((1, 2, 3), keepdims=True) - ground)).sum((1, 2, 3))
        np.testing.assert_allclose(cover, area[name] * r**2, rtol=0.05)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: data.moons(0), "n is an integer >= 1"),
        (lambda: data.moons(2.5), "n is an integer"),
        (lambda: data.xor(noise=-1), "noise is a standard deviation"),
        (lambda: data.xor(noise=float("nan")), "noise is a standard deviation"),
        (lambda: data.circles(factor=1.5), "factor"),
        (lambda: data.spirals(arms=0), "number of classes"),
        (lambda: data.blobs(centres=[1, 2]), r"\(K, D\)"),
        (lambda: data.shapes(5, classes=["blob"]), "circle, square"),
        (lambda: data.shapes(5, classes=[]), "different names"),
        (lambda: data.shapes(5, classes=["ring", "ring"]), "different names"),
        (lambda: data.shapes(5, channels=2), r"1 \(grey\) or 3"),
        (lambda: data.shapes(5, size=4), "too small"),
    ],
)
def test_made_sets_teach(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name", ["digits", "spirals", "blobs", "shapes"])
def test_train_test_by_name(name):
    random.manual_seed(1)
    train, test = data.load_train_test(name)
    random.manual_seed(2)
    again, _ = data.load_train_test(name)
    assert np.array_equal(train.x, again.x) and train.name == f"{name} train" and test.name == f"{name} test"
    assert len(test) == round((len(train) + len(test)) / 5) and train.classes == test.classes
    shares = np.bincount(train.y) / len(train) - np.bincount(test.y) / len(test)
    assert abs(shares).max() < 0.01


def test_train_test_by_a_wrong_name():
    with pytest.raises(ValueError, match="did you mean 'spirals'.*digits, mnist"):
        data.load_train_test("spiral")


# ---- files -----------------------------------------------------------------------------------------------------------


def idx(array):
    code = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}[array.dtype.str[1:]]
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_round_trip(tmp_path, dtype, pack):
    array = np.random.default_rng(0).integers(0, 99, (3, 4, 5)).astype(dtype)
    (tmp_path / "file").write_bytes(pack(idx(array)))
    got = data.read_idx(tmp_path / "file")
    assert got.dtype == array.dtype and got.dtype.isnative and got.flags.writeable and np.array_equal(got, array)


GOOD = idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file"),
        (b"<html>sorry</html>", "not an IDX file.*web page"),
        (b"\0\0\x07\x01" + GOOD[4:], "not an IDX file"),
        (GOOD[:7], "inside its header"),
        (GOOD[:-1], "cut short"),
        (GOOD + b"\0", "too long"),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, *[2**32 - 1] * 3), "cut short"),
        (gzip.compress(GOOD)[:-9], "damaged"),
        (gzip.compress(GOOD)[:-8] + b"\1" * 8, "damaged"),
        (gzip.compress(GOOD)[:10] + b"\xff" * 20, "damaged: .*invalid block type"),
        (idx(np.zeros(3, np.uint8)), "has 1 dimensions where 3"),
    ],
)
def test_idx_refuses_what_is_no_idx(tmp_path, content, message):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        data.read_idx(tmp_path / "file", ndim=3)
    assert str(tmp_path / "file") in str(error.value)


def mnist_files(folder, n=6, part="t10k", packed=True):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (n, 28, 28), np.uint8), rng.integers(0, 10, n).astype(np.uint8)
    for kind, array in (("images-idx3", x), ("labels-idx1", y)):
        name = f"{part}-{kind}-ubyte" + (".gz" if packed else "")
        (folder / name).write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    return x, y


@pytest.mark.parametrize("packed", [True, False])
def test_mnist_from_a_folder_with_the_test_files_only(tmp_path, monkeypatch, packed):
    x, y = mnist_files(tmp_path / "mnist", packed=packed)
    d = data.load_mnist("test", tmp_path, download=False)
    assert d.x.shape == (6, 1, 28, 28) and d.x.dtype == np.float32 and d.y.dtype == np.int64 and d.name == "mnist test"
    assert np.array_equal(d.x[:, 0], x.astype(np.float32) / 255) and np.array_equal(d.y, y)
    assert np.array_equal(data.load_mnist("test", tmp_path, raw=True).x[:, 0], x)
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path))
    assert len(data.load_mnist("test", download=False)) == 6
    with pytest.raises(FileNotFoundError, match="(?s)mnist/train-images-idx3-ubyte.gz.*MINIDL_DATA") as error:
        data.load_mnist("train", download=False)
    assert "https://ossci-datasets" in str(error.value)


def test_mnist_files_in_the_wrong_place_or_shape(tmp_path):
    mnist_files(tmp_path)  # in the common folder a file must have the published checksum: it could be Fashion-MNIST's
    with pytest.raises(FileNotFoundError, match="another checksum than mnist's"):
        data.load_mnist("test", tmp_path, download=False)
    images, labels = (tmp_path / "mnist" / f"t10k-{k}-ubyte" for k in ("images-idx3", "labels-idx1"))
    mnist_files(tmp_path / "mnist", packed=False)
    labels.write_bytes(idx(np.zeros(5, np.uint8)))
    with pytest.raises(ValueError, match="6 images but .* 5 labels"):
        data.load_mnist("test", tmp_path)
    labels.write_bytes(idx(np.full(6, 10, np.uint8)))
    with pytest.raises(ValueError, match="10 classes"):
        data.load_mnist("test", tmp_path)
    images.write_bytes(idx(np.zeros((6, 8, 8), np.uint8)))
    with pytest.raises(ValueError, match=r"\(8, 8\); mnist has bytes of \(28, 28\)"):
        data.load_mnist("test", tmp_path)
    with pytest.raises(ValueError, match="split is 'train' or 'test'"):
        data.load_mnist("valid", tmp_path)


def test_mnists_real_test_images(shared):
    shared /= "data"
    d = data.load_mnist("test", shared, download=False)
    assert len(d) == 10_000 and d.y[:5].tolist() == [7, 2, 1, 0, 4]
    assert np.bincount(d.y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert abs(d.x.mean() - 0.1325) < 1e-4  # the published mean of the test images
    with pytest.raises(FileNotFoundError, match="another checksum than fashion_mnist's"):
        data.load_fashion_mnist("test", shared, download=False)
    train, test = data.load_train_test("mnist", shared, download=False)
    assert (len(train), len(test)) == (8000, 2000) and "8,000 of its test images" in train.name
    assert abs(np.bincount(test.y) - np.bincount(d.y) / 5).max() < 1
    held_out = {image.tobytes() for image in test.x}
    assert not any(image.tobytes() in held_out for image in train.x)


def cifar_files(per_batch=4):
    rng = np.random.default_rng(0)
    batches = {}
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        records = rng.integers(0, 256, (per_batch, 3073), np.uint8)
        records[:, 0] %= 10
        batches[name] = records
    return batches


def cifar_archive(path, batches):
    with tarfile.open(path, "w:gz") as archive:
        for name, records in batches.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = records.nbytes
            archive.addfile(info, io.BytesIO(records.tobytes()))


def test_cifar10_from_archive_and_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "_PER_BATCH", 4)
    batches = cifar_files()
    train = np.concatenate([records for name, records in batches.items() if name.startswith("data")])
    (tmp_path / "a" / "cifar10").mkdir(parents=True)
    cifar_archive(tmp_path / "a" / "cifar10" / "cifar-10-binary.tar.gz", batches)
    unpacked = tmp_path / "b" / "cifar-10-batches-bin"
    unpacked.mkdir(parents=True)
    for name, records in batches.items():
        (unpacked / name).write_bytes(records.tobytes())
    for root in ("a", "b"):
        d = data.load_cifar10("train", tmp_path / root, download=False)
        assert d.x.shape == (20, 3, 32, 32) and d.x.dtype == np.float32 and d.classes[6] == "frog"
        assert np.array_equal(d.x.reshape(20, -1), train[:, 1:].astype(np.float32) / 255)
        assert np.array_equal(d.y, train[:, 0])
        raw = data.load_cifar10("test", tmp_path / root, download=False, raw=True)
        assert np.array_equal(raw.x.reshape(4, -1), batches["test_batch.bin"][:, 1:])
    (unpacked / "data_batch_3.bin").write_bytes(batches["data_batch_3.bin"][:3].tobytes())
    with pytest.raises(ValueError, match="data_batch_3.bin holds 3 images where"):
        data.load_cifar10("train", tmp_path / "b")
    (unpacked / "data_batch_3.bin").unlink()
    with pytest.raises(FileNotFoundError, match="lacks data_batch_3.bin"):
        data.load_cifar10("train", tmp_path / "b")


def test_cifar10_refuses_damaged_files(tmp_path):
    good = cifar_files()["test_batch.bin"]
    for content, message in [
        (b"", "0 bytes"),
        (good.tobytes()[:-1], "no multiple of 3073"),
        (np.where(np.arange(3073) == 0, 77, good).astype(np.uint8).tobytes(), "record 0 .* label 77"),
    ]:
        with pytest.raises(ValueError, match=message):
            data.read_cifar10_binary(content)
    (tmp_path / "cifar10").mkdir()
    path = tmp_path / "cifar10" / "cifar-10-binary.tar.gz"
    cifar_archive(path, {"test_batch.bin": good})
    with pytest.raises(ValueError, match=r"lacks data_batch_1.bin.*data_batch_5.bin"):
        data.load_cifar10("train", tmp_path)
    for content in (path.read_bytes()[:2000], b"<html>", b""):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is damaged.*fetch it again"):
            data.load_cifar10("test", tmp_path)


def test_cifar10_excerpt(tmp_path):
    arrays = {}
    for part, n in (("train", 5), ("test", 3)):
        arrays |= {f"x_{part}": np.full((n, 3, 32, 32), 51, np.uint8), f"y_{part}": np.arange(n, dtype=np.uint8)}
    path = tmp_path / "cifar10_excerpt.npz"
    np.savez(path, **arrays)
    d = data.load_cifar10("test", tmp_path)
    assert d.name == "cifar10 excerpt test" and d.x.shape == (3, 3, 32, 32) and abs(d.x - 0.2).max() < 1e-7
    assert [len(s) for s in data.load_train_test("cifar10", tmp_path)] == [5, 3]
    np.savez(path, **(arrays | {"x_test": arrays["x_test"][:, :, :9]}))
    with pytest.raises(ValueError, match=r"x_test is uint8 \(3, 3, 9, 32\)"):
        data.load_cifar10("test", tmp_path)
    for content in (b"", b"rubbish", path.read_bytes()[:900]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="no excerpt of CIFAR-10, or damaged"):
            data.load_cifar10("test", tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="cifar10/cifar-10-binary.tar.gz"):
        data.load_cifar10("test", tmp_path, download=False)


def test_cifar10s_real_excerpt(shared):
    shared /= "data"
    train, test = data.load_train_test("cifar10", shared, download=False)
    assert train.x.shape == (3805, 3, 32, 32) and test.x.shape == (761, 3, 32, 32) and "excerpt" in train.name
    np.testing.assert_allclose(train.x.mean((0, 2, 3)), [0.491, 0.482, 0.447], atol=0.02)  # as all of CIFAR-10


# ---- downloads -------------------------------------------------------------------------------------------------------

BODY = np.random.default_rng(0).bytes(300_000)
MD5 = hashlib.md5(BODY).hexdigest()


class Mirror(http.server.BaseHTTPRequestHandler):
    """The first part of the path says how this server behaves."""

    asked: list = []

    def do_GET(self):
        how, wanted = self.path.split("/")[1], self.headers.get("Range")
        self.asked.append((how, wanted))
        start = int(wanted[6:-1]) if wanted and how != "deaf" else 0
        if how == "dead":
            return self.send_error(503)
        if start >= len(BODY):
            return self.send_error(416)
        rest = (b"<html>" if how == "foreign" else BODY)[start:]
        self.send_response(206 if start else 200)
        if start:
            given = start + 1 if how == "liar" else start
            self.send_header("Content-Range", f"bytes {given}-{len(BODY) - 1}/{len(BODY)}")
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: len(rest) // 2] if how == "broken" else rest)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setattr(Mirror, "asked", [])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield lambda *hows: [f"http://127.0.0.1:{running.server_port}/{how}/" for how in hows]
        running.shutdown()
        thread.join()


def fetch(root, mirrors):
    return download.fetch("set", "file.gz", mirrors, MD5, root)


def test_download_then_local(tmp_path, server):
    path = fetch(tmp_path / "new folder", server("good"))
    assert path == tmp_path / "new folder" / "set" / "file.gz" and path.read_bytes() == BODY
    assert [p.name for p in path.parent.iterdir()] == ["file.gz"]  # no .part left
    assert fetch(tmp_path / "new folder", server("dead")) == path
    assert Mirror.asked == [("good", None)]


def test_a_broken_download_is_resumed_by_the_next_mirror(tmp_path, server):
    assert fetch(tmp_path, server("dead", "broken", "good")).read_bytes() == BODY
    assert Mirror.asked == [("dead", None), ("broken", None), ("good", "bytes=150000-")]


def test_a_broken_download_is_resumed_by_the_next_call(tmp_path, server):
    with pytest.raises(FileNotFoundError, match="broke after 150000 of 300000 bytes"):
        fetch(tmp_path, server("broken"))
    assert not (tmp_path / "set" / "file.gz").exists()
    assert fetch(tmp_path, server("good")).read_bytes() == BODY
    assert Mirror.asked[-1] == ("good", "bytes=150000-")


@pytest.mark.parametrize(
    ("part", "how", "requests"),
    [
        (BODY[:1000], "deaf", 1),  # the server ignores the range and sends everything
        (BODY, "good", 1),  # complete already: 416
        (b"rubbish" * 9, "good", 2),  # the part was not of this file: once more from the start
        (BODY + b"more", "good", 2),
    ],
)
def test_what_a_part_file_may_hold(tmp_path, server, part, how, requests):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "file.gz.part").write_bytes(part)
    assert fetch(tmp_path, server(how)).read_bytes() == BODY
    assert len(Mirror.asked) == requests


def test_a_wrong_range_does_not_get_into_the_file(tmp_path, server):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "file.gz.part").write_bytes(BODY[:1000])
    assert fetch(tmp_path, server("liar", "good")).read_bytes() == BODY
    assert Mirror.asked == [("liar", "bytes=1000-"), ("good", "bytes=1000-")]


def test_a_wrong_checksum_is_not_accepted(tmp_path, server):
    with pytest.raises(FileNotFoundError) as error:
        fetch(tmp_path, [*server("foreign", "dead"), "http://127.0.0.1:1/"])
    text = str(error.value)
    assert "wrong checksum" in text and "503" in text and "refused" in text
    assert f"Put it at {tmp_path / 'set' / 'file.gz'}" in text and "MINIDL_DATA" in text
    assert list((tmp_path / "set").iterdir()) == []
    with pytest.raises(FileNotFoundError):
        fetch(tmp_path / "elsewhere", server("dead"))
    assert not (tmp_path / "elsewhere").exists()
    assert fetch(tmp_path, server("foreign", "good")).read_bytes() == BODY


def test_a_folder_that_cannot_be_made(tmp_path, server):
    (tmp_path / "set").write_text("a file where the folder should be")
    with pytest.raises(FileNotFoundError, match="File exists|cannot create"):
        fetch(tmp_path, server("good"))


def test_mnist_by_download(tmp_path, server, monkeypatch):
    """All the way from the mirror to the arrays."""
    monkeypatch.setattr(mnist, "_MNIST_MIRRORS", server("good"))
    x, y = mnist_files(tmp_path / "source")
    sums = {p.name: hashlib.md5(p.read_bytes()).hexdigest() for p in (tmp_path / "source").iterdir()}
    monkeypatch.setattr(mnist, "_MNIST_MD5", sums)
    images, labels = sorted(sums)
    monkeypatch.setitem(globals(), "BODY", (tmp_path / "source" / images).read_bytes())
    with pytest.raises(FileNotFoundError, match=labels):  # the mirror has one of the two files
        data.load_mnist("test", tmp_path / "root")
    monkeypatch.setitem(globals(), "BODY", (tmp_path / "source" / labels).read_bytes())
    assert np.array_equal(data.load_mnist("test", tmp_path / "root", raw=True).x[:, 0], x)


def test_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path))
    assert data.data_folder() == tmp_path and data.data_folder("here") == Path("here")
    monkeypatch.delenv("MINIDL_DATA")
    monkeypatch.setattr(Path, "home", lambda: Path("/home/someone"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    for system, folder in [
        ("linux", ".cache/minidl"),
        ("darwin", "Library/Caches/minidl"),
        ("win32", "AppData/Local/minidl"),
    ]:
        monkeypatch.setattr(download.sys, "platform", system)
        assert data.data_folder() == Path("/home/someone") / folder


# ---- splits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stratify", [False, True])
@pytest.mark.parametrize("parts", [(0.8, 0.2), (0.7, 0.15, 0.15), (60, 30, 13), (1 / 3, 1 / 3, 1 / 3), (1.0,)])
def test_split_is_a_partition(parts, stratify):
    d = numbered(103, classes=4)
    pieces = data.split(d, parts, stratify=stratify, rng=0)
    numbers = np.concatenate([p.x[:, 0] for p in pieces])
    assert sorted(numbers) == list(range(103)) and numbers.tolist() != sorted(numbers)
    sizes = [len(p) for p in pieces]
    assert sizes == list(parts) if isinstance(parts[0], int) else np.allclose(sizes, np.multiply(parts, 103), atol=1)
    if stratify:
        for p in pieces:
            assert abs(np.bincount(p.y) - np.bincount(d.y) * len(p) / 103).max() < 1
            assert p.y.tolist() != sorted(p.y)
    again = data.split(d, parts, stratify=stratify, rng=0)
    other = data.split(d, parts, stratify=stratify, rng=1)
    assert np.array_equal(again[0].x, pieces[0].x)
    assert len(parts) == 1 or set(other[0].x[:, 0]) != set(pieces[0].x[:, 0])


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_controlled_rounding(members, weights):
    members = np.array(members)
    n = int(members.sum())
    sizes = np.diff(np.rint(np.cumsum(weights) * n / sum(weights)).astype(int), prepend=0)
    table = splits._rounded(members, sizes)
    assert np.array_equal(table.sum(1), members) and np.array_equal(table.sum(0), sizes) and table.min() >= 0
    assert (abs(table * n - np.outer(members, sizes)) < n).all()  # each cell within one of its exact share


def test_train_test_split():
    x, y = np.arange(50.0), np.arange(50) % 5
    x_train, x_test, y_train, y_test = data.train_test_split(x, y, test=0.2, stratify=y, rng=0)
    assert np.array_equal(x_train % 5, y_train) and np.bincount(y_test).tolist() == [2] * 5
    assert x_train.dtype == np.float64 and x_train.flags.writeable
    assert len(data.train_test_split(x, test=7)[1]) == 7
    random.manual_seed(0)
    first = data.train_test_split(x, y)[0]
    random.manual_seed(0)
    random.generator("shuffle").random(5)
    assert np.array_equal(data.train_test_split(x, y)[0], first)


def test_stratify_by_other_labels():
    d, groups = numbered(40), np.array(["a", "b"]).repeat([30, 10])
    train, test = data.split(d, (0.5, 0.5), stratify=groups, rng=0)
    assert (test.x[:, 0] >= 30).sum() == 5


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: data.split(numbered(9), (0.8, 0.1)), ValueError, "add up to 0.9, not to 1"),
        (lambda: data.split(numbered(9), (5, 5)), ValueError, "add up to 10, but there are 9"),
        (lambda: data.split(numbered(9), (1.5, -0.5)), ValueError, "positive fractions"),
        (lambda: data.split(numbered(9), ()), ValueError, "positive fractions"),
        (lambda: data.split(numbered(9), (0.999, 0.001)), ValueError, "none may be empty"),
        (lambda: data.split(numbered(0), (0.5, 0.5)), ValueError, "none may be empty"),
        (lambda: data.split([1, 2, 3]), TypeError, "split_indices"),
        (lambda: data.split(data.Dataset([1.0, 2.0]), (0.5, 0.5), stratify=True), ValueError, "there is no y"),
        (lambda: data.split(numbered(9), stratify=[0, 1]), ValueError, r"shape \(9,\)"),
        (lambda: data.split(data.Dataset(np.ones(9), np.eye(9)), stratify=True), ValueError, "argmax"),
        (lambda: data.split(data.Dataset(np.ones(9), np.ones(9)), stratify=True), ValueError, "float64"),
        (lambda: data.split(numbered(4), (0.5, 0.5), stratify=True), ValueError, "class 1 has 1 members.*2 parts"),
        (lambda: data.split(numbered(9), rng=np.random), TypeError, "global"),
        (lambda: data.train_test_split([1, 2], [1]), ValueError, "differ in length"),
        (lambda: data.train_test_split([1, 2], test=1.5), ValueError, "fraction between 0 and 1"),
        (lambda: data.train_test_split([1, 2], test=0), ValueError, "fraction between 0 and 1"),
        (lambda: data.train_test_split([1, 2], test=2), ValueError, "number of samples from 1 to 1"),
        (lambda: data.train_test_split([1, 2], test=True), ValueError, "fraction"),
        (lambda: data.train_test_split(), TypeError, "at least one array"),
    ],
)
def test_splits_teach(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ---- transforms ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(50, 3), (50, 3, 4, 5)])
def test_normalize(shape, dtype):
    x = np.random.default_rng(0).normal(5, 3, shape).astype(dtype)
    fitted = data.Normalize.fit(x)
    got, y = fitted(x.copy(), "untouched", None)
    others = tuple(a for a in range(x.ndim) if a != 1)
    want = (x - x.mean(others, keepdims=True)) / x.std(others, keepdims=True)
    assert got.dtype == dtype and y == "untouched"
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    few, _ = fitted(x[:2], None, None)  # the statistics are those of the fit, not of the batch
    np.testing.assert_array_equal(few, got[:2])


def test_normalize_matches_scikit_learn_constant_features_included():
    scaler = pytest.importorskip("sklearn.preprocessing").StandardScaler()
    x = data.load_digits().x.reshape(1797, -1).astype(np.float64)
    x[:, 0] = 0.1  # constant, and its mean is not exactly 0.1
    np.testing.assert_allclose(data.Normalize.fit(x)(x, None, None)[0], scaler.fit_transform(x), atol=1e-12)


def test_small_transforms():
    x = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    got, y = data.ToFloat()(x, None, None)
    assert got.dtype == np.float32 and np.array_equal(got, x.astype(np.float32) / 255) and y is None
    assert data.ToFloat()(got.astype(np.float64), None, None)[0].dtype == np.float64
    assert data.Flatten()(x, None, None)[0].shape == (2, 6)
    assert data.Flatten()(x[:0], None, None)[0].shape == (0, 6)
    rows = data.OneHot(4)(x, np.array([3, 0]), None)[1]
    assert rows.dtype == np.float32 and rows.tolist() == [[0, 0, 0, 1], [1, 0, 0, 0]]
    both = data.Compose([data.ToFloat(255.0), data.Flatten(), data.OneHot(4)])(x, np.array([3, 0]), None)
    assert both[0].shape == (2, 6) and both[1].shape == (2, 4)
    assert repr(data.Normalize(0.5, np.arange(1, 9), axis=2)) == "Normalize(mean=0.5, std=[1, 2, 3, 4, ...], axis=2)"
    inner = data.Compose([data.Compose([data.Flatten()])])
    assert repr(inner) == "Compose(\n  Compose(\n    Flatten()\n  )\n)"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: data.OneHot(3)(None, np.array([3]), None), ValueError, "from 3 to 3"),
        (lambda: data.OneHot(3)(None, np.array([[0.5]]), None), ValueError, "integer labels"),
        (lambda: data.Normalize(0, 0), ValueError, "std > 0"),
        (lambda: data.Normalize(0, np.nan), ValueError, "finite"),
        (lambda: data.Normalize([[0]], 1), ValueError, "vectors"),
        (lambda: data.Normalize([0, 0], 1)(np.ones((2, 3)), None, None), ValueError, "2 channels do not fit"),
        (lambda: data.Normalize(0, 1)(np.ones((2, 3), int), None, None), TypeError, "ToFloat"),
        (lambda: data.Normalize.fit(np.ones(3)), ValueError, "cannot measure"),
        (lambda: data.Normalize.fit(np.ones((0, 3))), ValueError, "cannot measure"),
        (lambda: data.Compose([3]), TypeError, r"transform\(x, y, rng\), which 3 cannot be"),
        (lambda: data.Compose([data.Flatten]), TypeError, r"did you mean Flatten\(\)"),
        (lambda: numbered(3).map(lambda x, y, rng: x), TypeError, "<lambda> returned a ndarray"),
        (lambda: numbered(3).map(lambda x, y, rng: (x[:2], y)), ValueError, "lengths differ"),
    ],
)
def test_transforms_teach(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ---- DataLoader ------------------------------------------------------------------------------------------------------


def test_loader_yields_tensors_and_keeps_float_dtypes():
    for dtype in (np.float32, np.float64):
        x, y = next(iter(data.DataLoader(data.Dataset(np.ones((5, 2), dtype), np.ones(5, np.uint8)), 3)))
        assert isinstance(x, Tensor) and x.dtype == dtype and isinstance(y, Tensor) and y.dtype == np.int64
    (only,) = data.DataLoader(np.ones((5, 2)))
    assert isinstance(only, Tensor) and only.shape == (5, 2)
    (only,) = data.DataLoader(Tensor([1.0, 2.0]))
    assert only.shape == (2,)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("n", "size"), [(10, 5), (10, 4), (10, 1), (10, 10), (1, 1), (0, 4)])
def test_loader_batch_sizes(n, size, drop_last):
    whole, rest = divmod(n, size)
    want = [size] * whole + [rest] * (rest > 0 and not drop_last)
    samples = [(np.float32([i]), i) for i in range(n)]
    for dataset in (numbered(n), samples):
        loader = data.DataLoader(dataset, size, drop_last=drop_last)
        assert [len(x) for x in order_of(loader)] == want and len(loader) == len(want)
    stream = (s for s in samples)
    assert [x.shape[0] for x, _ in data.DataLoader(stream, size, drop_last=drop_last)] == want


def test_loader_larger_batch_than_set():
    assert order_of(data.DataLoader(numbered(3), 100)) == [[0, 1, 2]]
    with pytest.raises(ValueError, match="leaves nothing of 3 samples in batches of 100"):
        data.DataLoader(numbered(3), 100, drop_last=True)


def test_loader_order():
    loader = data.DataLoader(numbered(20), 6)
    assert order_of(loader) == order_of(loader) == [[*range(6)], [*range(6, 12)], [*range(12, 18)], [18, 19]]
    random.manual_seed(0)
    loader = data.DataLoader(numbered(20), 6, shuffle=True)
    epochs = [sum(order_of(loader), []) for _ in range(3)]
    assert all(sorted(e) == list(range(20)) for e in epochs) and len({tuple(e) for e in epochs}) == 3
    for x, y in loader:
        assert np.array_equal(x.numpy()[:, 0] % 3, y.numpy())  # inputs and targets stay together


def test_one_seed_repeats_the_batches_bit_for_bit():
    def jitter(x, y, rng):
        return x + rng.standard_normal(x.shape, dtype=np.float32), y

    def run(transform=jitter, rng=None, between=lambda: None, loaders=1):
        random.manual_seed(11)
        for _ in range(loaders):
            loader = data.DataLoader(numbered(20), 6, shuffle=True, transform=transform, rng=rng)
        batches = []
        for _ in range(2):
            for x, y in loader:
                batches.append((x.numpy().tobytes(), y.numpy().tobytes()))
                between()
        return batches

    first = run()
    assert run() == first and run(loaders=3) == first
    assert run(between=lambda: random.generator("dropout").random(7)) == first
    assert [y for _, y in run(transform=None)] == [y for _, y in first]  # augmentation does not move the order
    assert run(rng=5) == run(rng=5, between=lambda: random.generator("shuffle").random()) != first
    assert [y for _, y in run(transform=None, rng=5)] == [y for _, y in run(rng=5)]
    before = random.get_state()
    order_of(data.DataLoader(numbered(20), 6, shuffle=True, transform=jitter, rng=5))
    assert random.get_state() == before  # a loader with its own generator leaves the streams alone


@pytest.mark.parametrize("rng", [None, 3])
def test_loader_resumes_exactly_between_epochs(rng):
    def jitter(x, y, rng):
        x[:, 1] = rng.random(len(x))
        return x, y

    def loader():
        return data.DataLoader(numbered(20), 6, shuffle=True, transform=jitter, rng=rng)

    def epoch(of):
        return [x.numpy().tolist() for x, _ in of]

    random.manual_seed(2)
    first = loader()
    epoch(first)
    saved = json.loads(json.dumps([random.get_state(), first.state_dict()]))
    went_on = [epoch(first), epoch(first)]
    random.manual_seed(77)
    second = loader()
    random.set_state(saved[0])
    second.load_state_dict(saved[1])
    assert [epoch(second), epoch(second)] == went_on


def test_loader_state_of_another_kind():
    own, shared = data.DataLoader(numbered(3), rng=1), data.DataLoader(numbered(3))
    with pytest.raises(ValueError, match="saved loader drew from minidl's streams, this one from a generator"):
        own.load_state_dict(shared.state_dict())
    with pytest.raises(ValueError, match="saved loader drew from a generator of its own, this one from minidl's"):
        shared.load_state_dict(own.state_dict())
    with pytest.raises(ValueError, match="not the state of a DataLoader"):
        own.load_state_dict({})


def test_stopping_in_the_middle_does_not_change_the_next_epoch():
    def second_epoch(stop):
        random.manual_seed(0)
        loader = data.DataLoader(numbered(20), 6, shuffle=True)
        for k, _ in enumerate(loader):
            if k == stop:
                break
        return order_of(loader)

    assert second_epoch(0) == second_epoch(99)
    random.manual_seed(0)
    loader = data.DataLoader(numbered(20), 6, shuffle=True)
    assert [a for a, _ in zip(order_of(loader), loader, strict=True)] != order_of(loader)


def test_transforms_cannot_write_into_the_set():
    x, y = np.ones((6, 2), np.float32), np.zeros(6, np.int64)

    def vandal(x, y, rng):
        x[...] = np.nan
        y[...] = 99
        return x, y

    whole, samples = data.Dataset(x, y), [(x[i], y[i : i + 1]) for i in range(6)]
    for dataset, shuffle in [(whole, False), (whole, True), (samples, False), (samples, True), (iter(samples), False)]:
        for a, b in data.DataLoader(dataset, 4, shuffle=shuffle, transform=vandal):
            assert np.isnan(a.numpy()).all() and (b.numpy() == 99).all()
    whole.map(vandal)
    assert (x == 1).all() and (y == 0).all()
    batch = next(iter(data.DataLoader(data.Dataset(x, y), 4)))[0]
    batch.data[...] = 5  # nor can a training step that writes to the Tensor
    assert (x == 1).all()


def test_soft_targets_and_unlabelled_batches():
    def mixup(x, y, rng):
        lam, other = np.float32(rng.beta(1, 1)), rng.permutation(len(x))
        return lam * x + (1 - lam) * x[other], lam * y + (1 - lam) * y[other]

    loader = data.DataLoader(numbered(9), 4, transform=data.Compose([data.OneHot(3), mixup]))
    for x, y in loader:
        assert y.shape == (len(x.numpy()), 3) and y.dtype == np.float32
        np.testing.assert_allclose(y.numpy().sum(1), 1, rtol=1e-6)
    (only,) = data.DataLoader(np.ones((3, 2, 2)), transform=data.Flatten())
    assert only.shape == (3, 4)
    (pair,) = data.DataLoader(np.ones((3, 2)), transform=lambda x, y, rng: (x, x.copy()))
    assert len(pair) == 2


Point = collections.namedtuple("Point", "place name")


class Squares:
    """A set of its own kind."""

    def __len__(self):
        return 7

    def __getitem__(self, i):
        return {"x": (np.full(2, i, np.float32), float(i)), "more": Point(i, f"no {i}"), "flag": i > 3}


def test_generic_sets_are_collated():
    first, last = data.DataLoader(Squares(), 5)
    assert [t.shape for t in first["x"]] == [(5, 2), (5,)] and last["x"][0].numpy()[:, 0].tolist() == [5, 6]
    assert first["x"][1].dtype == np.float32 and first["more"].place.dtype == np.int64 and first["flag"].dtype == bool
    assert isinstance(first["more"], Point) and last["more"].name == ["no 5", "no 6"]
    shuffled = [b["more"].place.numpy().tolist() for b in data.DataLoader(Squares(), 5, shuffle=True, rng=0)]
    assert sorted(sum(shuffled, [])) == list(range(7)) and sum(shuffled, []) != list(range(7))
    texts = list(data.DataLoader(["a", "b", "c"], 2))
    assert texts == [["a", "b"], ["c"]]
    words = [[1, 2, 3], [4, 5, 6, 7]]
    (padded,) = data.DataLoader(words, 2, collate_fn=lambda ws: np.array([w + [0] * (4 - len(w)) for w in ws]))
    assert padded.numpy().tolist() == [[1, 2, 3, 0], [4, 5, 6, 7]] and padded.dtype == np.int64


def test_collate_like_pytorch(torch, rng):
    samples = [{"a": (rng.random((2, 3)), i), "b": {"c": rng.random(4, np.float32)}, "d": "s"} for i in range(5)]
    ours, theirs = data.default_collate(samples), torch.utils.data.default_collate(samples)
    for got, want in zip((*ours["a"], ours["b"]["c"]), (*theirs["a"], theirs["b"]["c"]), strict=True):
        assert np.array_equal(got, want.numpy()) and got.dtype == want.numpy().dtype
    assert ours["d"] == theirs["d"]
    tensors = data.default_collate([Tensor([1.0, 2.0]), Tensor([3.0, 4.0])])
    assert tensors.tolist() == [[1, 2], [3, 4]] and tensors.dtype == np.float32


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        ([], ValueError, "empty"),
        ([np.ones(2), np.ones(3)], ValueError, r"sample 1 has shape \(3,\) but sample 0 has \(2,\).*collate_fn"),
        ([(1, np.ones(2)), (2, np.ones(3))], ValueError, r"part 1 of sample 1 has shape"),
        ([(1, 2), (1, 2, 3)], ValueError, "a tuple of 3 but sample 0 is a tuple of 2"),
        ([{"a": 1}, {"b": 1}], ValueError, "keys"),
        ([1, "a"], ValueError, "a string but sample 0 is an array or number"),
        ([None, None], TypeError, "NoneType"),
        ([object(), object()], TypeError, "object"),
        ([[np.ones(2), 1]], ValueError, "Return a tuple"),
    ],
)
def test_collate_teaches(samples, error, message):
    with pytest.raises(error, match=message):
        data.default_collate(samples)


def test_streams():
    class Stream:
        def __iter__(self):
            return iter([(np.float32([i]), i) for i in range(5)])

    loader = data.DataLoader(Stream(), 2)
    assert order_of(loader) == order_of(loader) == [[0, 1], [2, 3], [4]]
    with pytest.raises(TypeError, match="Stream.*has no length"):
        len(loader)
    endless = data.DataLoader((np.float32([i]) for i in iter(int, 1)), 3)
    assert next(iter(endless)).shape == (3, 1)
    once = data.DataLoader(iter([1.0, 2.0]), 2)
    assert len(list(once)) == 1
    with pytest.raises(ValueError, match="read once"):
        list(once)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: data.DataLoader(numbered(3), 0), ValueError, "batch_size"),
        (lambda: data.DataLoader(numbered(3), 2.0), ValueError, "batch_size"),
        (lambda: data.DataLoader(numbered(3), True), ValueError, "batch_size"),
        (lambda: data.DataLoader(numbered(3), rng="x"), TypeError, "default_rng"),
        (lambda: data.DataLoader(numbered(3), transform=3), TypeError, r"transform\(x, y, rng\)"),
        (lambda: data.DataLoader(numbered(3), transform=data.ToFloat), TypeError, r"did you mean ToFloat\(\)"),
        (lambda: data.DataLoader((np.ones(3), np.ones(3))), TypeError, r"write Dataset\(x, y\)"),
        (lambda: data.DataLoader((Tensor([1.0]), Tensor([1.0]))), TypeError, r"write Dataset\(x, y\)"),
        (lambda: data.DataLoader({"x": np.ones(3)}), TypeError, "a dict is no set of samples"),
        (lambda: data.DataLoader("text"), TypeError, "a str is no set"),
        (lambda: data.DataLoader(3), TypeError, "__len__ and __getitem__, or __iter__"),
        (lambda: data.DataLoader(iter([1]), shuffle=True), ValueError, "cannot be shuffled"),
        (lambda: list(data.DataLoader(Squares(), transform=data.Flatten())), ValueError, "a dict of 3 parts"),
        (lambda: list(data.DataLoader(numbered(3), transform=lambda x, y, rng: x)), TypeError, "<lambda> returned"),
        (lambda: list(data.DataLoader([1.0, None])), TypeError, "NoneType"),
    ],
)
def test_loader_teaches(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_loader_repr():
    loader = data.DataLoader(numbered(3), 2, shuffle=True, transform=data.Flatten())
    assert repr(loader) == (
        "DataLoader(Dataset(x=(3, 2) float32, y=(3,) int64), batch_size=2, shuffle=True, transform=Flatten())"
    )


@pytest.mark.parametrize("use", [lambda t: data.Compose([t]), lambda t: data.DataLoader(np.ones((3, 2)), transform=t)])
def test_a_transform_of_x_alone_is_refused_with_the_way_to_write_it(use):
    with pytest.raises(TypeError, match=r"called as transform\(x, y, rng\).*lambda x, y, rng: \(f\(x\), y\)"):
        use(lambda x: x * 2)
    use(lambda x, y, rng=None: (x, y))
