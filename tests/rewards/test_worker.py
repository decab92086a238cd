"""The grading process alone, spoken to by lines."""

import json
import subprocess
import sys

import pytest

from qsharp_jax.rewards import worker

CODE = "from qsharp_jax.rewards import worker; worker.main('strict', 2**33)"


def answers(chunks):
  """What the process says to chunks of (index, prediction, answer)."""
  done = subprocess.run(
    [sys.executable, "-c", CODE],
    input="".join(json.dumps(chunk) + "\n" for chunk in chunks),
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  return [json.loads(line) for line in done.stdout.splitlines()]


def test_says_that_it_is_ready_then_a_line_for_every_task():
  chunks = [[7, "#### 1", "#### 1"], [4, "#### 2", "#### 3"]], [[9, "", "1"]]
  found = answers(chunks)
  assert found[0] == {"refused": None}
  assert found[1] == [7, True, "1", 1.0, None]
  assert found[2] == [4, False, "2", 0.0, None]
  assert found[3][:4] == [9, False, None, 0.0]
  assert len(found) == 4


def test_ends_when_its_parent_closes_the_pipe():
  assert answers([]) == [{"refused": None}]


@pytest.mark.parametrize(
  "error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()]
)
def test_an_error_of_the_reward_is_a_grade(error):
  def reward(prediction, answer):
    raise error

  grade = worker._graded(reward, "1", "1")
  assert (grade.correct, grade.extracted, grade.reward) == (False, None, 0.0)
  assert type(error).__name__ in grade.error
