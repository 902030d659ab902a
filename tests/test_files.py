import os
import stat

import pytest

from mixtura.errors import InputError
from mixtura.files import check_output, is_leftover, remove_leftovers, replacing, replacing_folder


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


def test_errors_name_the_path_and_not_the_temporary_one(tmp_path):
    folder = tmp_path / "folder.txt"
    folder.mkdir()
    with pytest.raises(OSError, match=r"'[^']*folder\.txt'$") as caught, replacing(folder) as temporary:
        temporary.write_text("new")
    assert caught.value.filename == str(folder)
    assert os.listdir(tmp_path) == ["folder.txt"]
    too_long = tmp_path / ("a" * 300)
    with pytest.raises(OSError, match="too long") as caught, replacing(too_long):
        pass
    assert caught.value.filename == str(too_long)


def test_a_folder_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "b" / "answers"
    for text in ("old", "new"):
        with replacing_folder(path) as temporary:
            (temporary / f"{text}.txt").write_text(text)
        assert os.listdir(path) == [f"{text}.txt"]
    with pytest.raises(OSError, match="full"), replacing_folder(path) as temporary:
        fail_after((temporary / "half.txt").write_text("half"))
    assert os.listdir(path) == ["new.txt"]
    with pytest.raises(OSError, match=r"(?i)is a dir") as caught, replacing_folder(path) as temporary:
        temporary.write_text("no file")
    assert caught.value.filename == str(path)
    assert os.listdir(path.parent) == ["answers"]
    left = path.parent / ".mixtura-answers-killed" / "new"  # as a kill would leave it
    left.mkdir(parents=True)
    remove_leftovers(tmp_path)
    assert os.listdir(path.parent) == ["answers"]


def test_what_exists_is_overwritten_only_on_request(tmp_path):
    check_output(tmp_path / "new", overwrite=False)
    check_output(tmp_path, overwrite=True)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path, tmp_path / "link"):
        with pytest.raises(InputError, match="exists; name another output or give --overwrite"):
            check_output(path, overwrite=False)


def test_leftovers_are_told_from_other_files(tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / ".mine-1.txt").touch()
    with replacing(tmp_path / "figures" / "a.png") as temporary:
        assert is_leftover(temporary)
        assert not is_leftover(tmp_path / ".mine-1.txt")
    (tmp_path / "figures" / "a.png").rename(temporary)
    assert len(os.listdir(tmp_path / "figures")) == 1  # as a kill would leave it
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".mine-1.txt", "figures"]
    assert os.listdir(tmp_path / "figures") == []
