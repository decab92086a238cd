"""Lazy decoding of a few random models beside full decoding."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow  # a whole command, and compilations


@pytest.mark.parametrize("devices", [1, 8])
def test_tokens_are_the_same(devices):
  # In a process of its own: benchmarks define flags of the same names.
  done = subprocess.run(
    [
      *(sys.executable, "-m", "benchmarks.lazy", "--kinds=1", "--models=3"),
      f"--devices={devices}",
    ],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  assert (result["differing"], result["devices"]) == (0, devices)
  assert result["models"] == 3 and result["tokens"] > 100
  assert 1 < result["turns_per_token"] < 8
  assert 0.5 < result["scored_per_token"] < 6
