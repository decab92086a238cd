"""Shell that passes shellcheck, and a container file of few words."""

import configparser
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SHELL = sorted(
  path.relative_to(ROOT)
  for pattern in ("launch/*.sh", "launch/*.sbatch", "tests/**/*.sh", ".ci/run")
  for path in ROOT.glob(pattern)
)
# Installed beside the interpreter, which need not be on the path.
SHELLCHECK = shutil.which(
  "shellcheck", path=pathlib.Path(sys.executable).parent
)


def check(path):
  return subprocess.run(
    [SHELLCHECK, "--external-sources", path],
    cwd=ROOT,
    capture_output=True,
    text=True,
  )


def test_the_scripts_are_found():
  names = {path.name for path in SHELL}
  assert {"tpu_vm.sh", "slurm.sbatch", "run.sh", "cluster.sh"} <= names


@pytest.mark.skipif(not SHELLCHECK, reason="needs shellcheck, extra `test`")
@pytest.mark.parametrize("path", SHELL, ids=str)
def test_shell_passes_shellcheck(path):
  done = check(path)
  assert done.returncode == 0, done.stdout


@pytest.mark.skipif(not SHELLCHECK, reason="needs shellcheck, extra `test`")
def test_shellcheck_finds_a_fault(tmp_path):
  faulty = tmp_path / "faulty.sh"
  faulty.write_text("#!/bin/bash\nrm -rf $1/runs\n")
  assert "SC2086" in check(faulty).stdout


@pytest.mark.parametrize("path", SHELL, ids=str)
def test_shell_is_strict(path):
  text = (ROOT / path).read_text()
  # What is sourced takes over the settings of who sources it.
  assert "set -euo pipefail" in text or text.startswith("# shellcheck shell")


def test_the_container_holds_what_it_runs():
  """It was not built here: what can be read off is checked."""
  lines = (ROOT / "launch/Containerfile").read_text().splitlines()
  words = [line.split() for line in lines if line and line[0] != "#"]
  told = [(line[0], line[1:]) for line in words]
  copied = [name for key, rest in told if key == "COPY" for name in rest[:-1]]
  assert all((ROOT / name).exists() for name in copied)
  assert {"qsharp_jax", "experiments", "launch", "setup.cfg"} <= set(copied)
  # The files that setup.cfg reads.
  assert {"README.md", "LICENSE", "pyproject.toml"} <= set(copied)
  extras = configparser.ConfigParser()
  extras.read(ROOT / "setup.cfg")
  assert {"tpu", "cuda13"} <= set(extras["options.extras_require"])
  assert ("USER", ["qsharp"]) in told[-2:]
  assert told[-1] == ("ENTRYPOINT", ['["python",', '"-m"]'])
