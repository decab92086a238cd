"""The program's benchmark runs, and both ways sample the same."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow  # a whole command, and compilations


# In a process of its own: benchmarks define flags of the same names.
def test_keys_and_equality():
  done = subprocess.run(
    [
      *(sys.executable, "-m", "benchmarks.program", "--rows=32"),
      *("--batches=2", "--repeats=1", "--updates=1"),
    ],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  assert result["same_rollouts"] is True
  for what in ("collect", "step"):
    assert result[f"{what}_device_over_host"] > 0
