"""The rollout benchmark runs, and counts the steps it pays for."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow  # a whole command, and compilations


# In a process of its own: benchmarks define flags of the same names.
def test_keys_and_counts():
  done = subprocess.run(
    [
      *(sys.executable, "-m", "benchmarks.rollout", "--prompts=6"),
      *("--batch=2", "--repeats=1", "--candidates=2"),
    ],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  kept = result["refilled_kept_of_row_steps"]
  assert 1 >= kept > result["whole_kept_of_row_steps"] > 0
  assert result["refilled_answers_per_second"] > 0
  assert 0 < result["same_answers"] <= 1
