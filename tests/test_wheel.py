"""What a user gets who installed the wheel: run by .ci/run from an empty folder, and here from the source tree."""

import subprocess
import sys


def test_data_ships_inside_the_package():
    from minidl import data

    digits = data.load_digits()
    assert digits.x.shape == (1797, 1, 8, 8)
    assert digits.x.dtype == "float32"
    assert sorted(set(digits.y.tolist())) == list(range(10))
    counts = [int((digits.y == k).sum()) for k in range(10)]
    assert counts == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_import_is_light():
    code = (
        "import sys, minidl; heavy = {'numba', 'matplotlib', 'tqdm', 'safetensors', 'scipy'} & set(sys.modules); "
        "sys.exit(f'import minidl brought {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_works_where_numba_cannot_be_imported():
    code = (
        "import sys; sys.modules['numba'] = None; import minidl; from minidl import nn; "
        "y = nn.Conv2d(1, 2, 3)(minidl.randn(1, 1, 5, 5)).sum(); y.backward(); print(minidl.kernels.backend())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "numpy", done.stderr


def test_assignments_ship_as_blanks_and_only_as_blanks(tmp_path, monkeypatch, capsys):
    from pathlib import Path

    import minidl
    from minidl import cli

    files = list((Path(minidl.__file__).parent / "course" / "blanks").glob("*.ipynb"))
    assert [path.name[:2] for path in sorted(files)] == [f"A{k}" for k in range(1, 8)]
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert "YOUR CODE HERE" in text and "BEGIN SOLUTION" not in text and "HIDDEN TESTS" not in text
    monkeypatch.chdir(tmp_path)
    assert cli.main(["course", "get", "A4"]) == 0
    assert cli.main(["course", "check", "A4"]) == 1
    assert "all visible checks pass for 0 of 100 marks" in capsys.readouterr().out
