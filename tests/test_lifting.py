"""The theory can be lifted out: two folders and their tests, elsewhere."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
TAKEN = (
  "qsharp_jax/__init__.py",
  "qsharp_jax/version.py",
  "qsharp_jax/core",
  "qsharp_jax/ops",
  "tests/conftest.py",
  "tests/ops",
  "tests/oracles",
)
ALONE = """
import pathlib, sys

import qsharp_jax


def test_the_package_is_this_one_and_has_two_rooms():
  here = pathlib.Path(__file__).parents[2]
  assert pathlib.Path(qsharp_jax.__file__).is_relative_to(here)
  names = [name.split(".") for name in sys.modules]
  rooms = {name[1] for name in names if name[0] == "qsharp_jax" and name[1:]}
  assert rooms == {"core", "ops", "version"}
"""


@pytest.fixture
def lifted(tmp_path):
  for name in TAKEN:
    source, target = ROOT / name, tmp_path / name
    target.parent.mkdir(exist_ok=True)
    if source.is_dir():
      ignored = shutil.ignore_patterns("__pycache__")
      shutil.copytree(source, target, ignore=ignored)
    else:
      shutil.copy(source, target)
  (tmp_path / "tests" / "ops" / "test_zz_alone.py").write_text(ALONE)
  return tmp_path


def test_ops_and_its_tests_need_only_core(lifted):
  path = os.pathsep.join([str(lifted), str(lifted / "tests")])
  # Every file is imported; of their tests, those that take no time run.
  done = subprocess.run(
    [
      *(sys.executable, "-m", "pytest", "--import-mode=importlib"),
      *("-p", "no:cacheprovider", "-k", "by_hand or alone or refused", "tests"),
    ],
    cwd=lifted,
    env=os.environ | {"PYTHONPATH": path},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stdout + done.stderr
  (passed,) = re.findall(r"(\d+) passed", done.stdout)
  assert int(passed) > 100
