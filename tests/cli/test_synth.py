"""nibble synth: what it refuses. A checkpoint at a released shape takes gigabytes; unit tests write a small one."""
import pytest

from support import expect_error, run


def test_unknown_shape(tmp_path):
    expect_error(run("synth", "--shape", "v9", "-o", tmp_path / "out"), "v9", "v4-flash", code=2)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("layers", ["44", "-1", "x"])
def test_layers(tmp_path, layers):
    expect_error(run("synth", "--layers", layers, "-o", tmp_path / "out"), layers, code=2)


def test_directory_with_files(tmp_path):
    (tmp_path / "precious").write_text("x")
    expect_error(run("synth", "--layers", "1", "-o", tmp_path), str(tmp_path), "not empty", code=1)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_no_directory():
    expect_error(run("synth"), "--out", code=2)
