import dataclasses

import pytest

from qsharp_jax.core import python_files


def test_a_file_is_run_once(tmp_path):
  (tmp_path / "mine.py").write_text("calls = []\ncalls.append(1)\n")
  first = python_files.load(tmp_path / "mine.py")
  assert python_files.load(str(tmp_path / "mine.py")) is first
  assert first.calls == [1]


def test_files_of_one_name_are_two_modules(tmp_path):
  for folder in ("a", "b"):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "mine.py").write_text(f"name = {folder!r}\n")
  names = [python_files.load(tmp_path / x / "mine.py").name for x in "ab"]
  assert names == ["a", "b"]


def test_dataclasses_find_their_module(tmp_path):
  (tmp_path / "mine.py").write_text(
    "from __future__ import annotations\n"
    "import dataclasses\n"
    "@dataclasses.dataclass\n"
    "class Pair:\n  first: int = 3\n"
  )
  pair = python_files.load(tmp_path / "mine.py").Pair()
  assert dataclasses.asdict(pair) == {"first": 3}


def test_a_broken_file_is_tried_again(tmp_path):
  file = tmp_path / "mine.py"
  file.write_text("1 / 0\n")
  with pytest.raises(ZeroDivisionError):
    python_files.load(file)
  file.write_text("mended = True\n# longer\n")
  assert python_files.load(file).mended


def test_no_file(tmp_path):
  with pytest.raises(FileNotFoundError):
    python_files.load(tmp_path / "mine.py")
