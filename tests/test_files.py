import os
import stat

import pytest

from mixtura.errors import InputError
from mixtura.files import new_folder, replacing


def fail_after(_):
    raise OSError("the disk is full")


def test_replacing_keeps_the_old_file_when_the_writer_fails(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), replacing(path) as temporary:
        fail_after(temporary.write_text("half"))
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_replacing_makes_parents_and_an_ordinary_file(tmp_path):
    path = tmp_path / "b" / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    assert os.listdir(path.parent) == ["a.txt"]


def test_new_folder_refuses_what_exists_and_leaves_it_alone(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").touch()
    with pytest.raises(InputError, match=r"run exists; name another output or give --overwrite"):
        new_folder(tmp_path / "run").__enter__()
    assert (tmp_path / "run" / "mine").exists()


@pytest.mark.parametrize("old", ["folder", "file", "nothing"])
def test_new_folder_overwrites_only_on_success(tmp_path, old):
    path = tmp_path / "run"
    if old == "folder":
        path.mkdir()
        (path / "old").touch()
    elif old == "file":
        path.touch()
    with pytest.raises(OSError, match="full"), new_folder(path, overwrite=True) as temporary:
        fail_after((temporary / "half").touch())
    assert path.exists() == (old != "nothing")
    assert os.listdir(tmp_path) == (["run"] if old != "nothing" else [])
    with new_folder(path, overwrite=True) as temporary:
        (temporary / "new").touch()
    assert os.listdir(path) == ["new"]
    assert os.listdir(tmp_path) == ["run"]
