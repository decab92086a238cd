import os

import pytest

from qsharp_jax.core import files


def test_writes_bytes_and_text_and_makes_folders(tmp_path):
  files.replace(tmp_path / "new" / "a.bin", b"\x00\xff")
  files.replace(str(tmp_path / "new" / "b.txt"), "naïve")
  assert (tmp_path / "new" / "a.bin").read_bytes() == b"\x00\xff"
  assert (tmp_path / "new" / "b.txt").read_bytes() == "naïve".encode()


def test_a_failed_write_leaves_the_old_content_and_nothing_else(tmp_path):
  file = tmp_path / "a.json"
  files.replace(file, "old")
  with pytest.raises(TypeError):
    files.replace(file, None)
  assert file.read_text() == "old"
  assert os.listdir(tmp_path) == ["a.json"]


def test_a_crash_before_the_rename_leaves_the_old_content(
  tmp_path, monkeypatch
):
  file = tmp_path / "a.json"
  files.replace(file, "old")

  def crash(descriptor):
    raise OSError("disk full")

  monkeypatch.setattr(os, "fsync", crash)
  with pytest.raises(OSError, match="disk full"):
    files.replace(file, "new")
  assert file.read_text() == "old"
  assert os.listdir(tmp_path) == ["a.json"]


def test_a_reader_holds_on_to_the_whole_old_file(tmp_path):
  file = tmp_path / "a.json"
  files.replace(file, "old")
  with file.open() as reader:
    files.replace(file, "newer")
    assert reader.read() == "old"
  assert file.read_text() == "newer"
