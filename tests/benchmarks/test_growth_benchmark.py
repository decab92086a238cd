"""The growth benchmark runs, refuses what does not fit, and prints its JSON."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow  # a whole command, and compilations

_NUMBERS = ("prefill_seconds", "step_seconds", "step_spread")


# In a process of its own: benchmarks define flags of the same names.
def _run(*flags):
  size = ["--batch=2", "--prompt=8", "--answer=4", "--candidates=3"]
  axes = ["--batches=", "--prompts=", "--answers=", "--more_candidates="]
  done = subprocess.run(
    [sys.executable, "-m", "benchmarks.growth", *size, *axes, *flags],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout.splitlines()[-1]), done.stdout


def test_axes():
  result, _ = _run("--answers=6", "--steps=2", "--repeats=3")
  assert result["versions"]["jax"]
  base, longer = result["points"]
  assert (base["axis"], longer["axis"]) == ("base", "answer")
  assert (base["answer"], longer["answer"]) == (4, 6)
  assert base["batch"] == longer["batch"] == 2
  for point in result["points"]:
    assert all(point[name] >= 0 for name in _NUMBERS)
    assert 0.8 < point["predicted_bytes"] / point["compiled_bytes"] < 1.25
  assert base["compiled_bytes"] < longer["compiled_bytes"]


def test_what_does_not_fit_is_not_run():
  result, printed = _run("--batch=4000000", "--prompt=2000", "--repeats=3")
  (point,) = result["points"]
  assert point["step_seconds"] is None
  assert point["predicted_bytes"] > 10**12
  assert "lower sampling.batch_size from 4000000 to at most" in printed
