"""The search benchmark runs, and one program serves the grid of etas."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow  # a whole command, and compilations

_RATIOS = ("eta_grid_over_one_eta", "eta_grid_over_separate_runs")


# In a process of its own: benchmarks define flags of the same names.
def _run(*flags):
  size = ["--prompt=8", "--steps=2", "--repeats=3", "--grid_candidates=3"]
  return subprocess.run(
    [sys.executable, "-m", "benchmarks.search", *size, *flags],
    capture_output=True,
    text=True,
    check=False,
  )


def test_keys_and_programs():
  done = _run("--candidates=2")
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  names = ("tokens_per_second_2", "over_floor_2", *_RATIOS)
  assert all(result[name] > 0 for name in names)
  assert result["eta_grid_programs"] == 1
  assert result["eta_grid_tokens_per_second"] > 0


def test_a_batch_that_the_grid_does_not_divide():
  done = _run("--batch=9")
  assert done.returncode != 0
  assert "--batch must be a multiple of 8" in done.stderr + done.stdout
