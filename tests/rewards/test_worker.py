"""The grading process alone, spoken to by lines."""

import json
import subprocess
import sys

import pytest

from qsharp_jax.rewards import worker

READY = {
  "refused": None,
  "traits": {
    "is_batched": False,
    "takes_prompt": False,
    "bounds": [0.0, 1.0],
    "source": "",
  },
}
CODE = "from qsharp_jax.rewards import worker; worker.main('strict', 2**33)"


def answers(chunks):
  """What the process says to chunks of (index, prediction, answer, prompt)."""
  done = subprocess.run(
    [sys.executable, "-c", CODE],
    input="".join(json.dumps(chunk) + "\n" for chunk in chunks),
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  return [json.loads(line) for line in done.stdout.splitlines()]


def test_says_that_it_is_ready_then_a_line_for_every_task():
  chunks = (
    [[7, "#### 1", "#### 1", ""], [4, "#### 2", "#### 3", ""]],
    [[9, "", "1", ""]],
  )
  found = answers(chunks)
  assert found[0] == READY
  assert found[1] == [7, True, "1", 1.0, None]
  assert found[2] == [4, False, "2", 0.0, None]
  assert found[3][:4] == [9, False, None, 0.0]
  assert len(found) == 4


def test_ends_when_its_parent_closes_the_pipe():
  assert answers([]) == [READY]


@pytest.mark.parametrize(
  "error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()]
)
def test_an_error_of_the_reward_is_a_grade(error):
  def reward(prediction, answer):
    raise error

  (grade,) = worker._graded_singly(reward, [["1"], ["1"]])
  assert (grade.correct, grade.extracted, grade.reward) == (False, None, 0.0)
  assert type(error).__name__ in grade.error


def test_a_batch_that_fails_is_asked_one_by_one():
  calls = []

  def reward(predictions, answers):
    calls.append(predictions)
    return [float(p) for p in predictions]

  grades = worker._graded_together(reward, [["1", "no", "3"], ["", "", ""]])
  assert calls == [["1", "no", "3"], ["1"], ["no"], ["3"]]
  assert [grade.reward for grade in grades] == [1.0, 0.0, 3.0]
  assert [grade.error is None for grade in grades] == [True, False, True]


def test_a_batch_of_another_length_is_an_error():
  grades = worker._graded_together(lambda p, a: [0.5], [["1", "2"], ["", ""]])
  assert [grade.reward for grade in grades] == [0.5, 0.5]  # right one by one
  (grade,) = worker._graded_together(lambda p, a: [], [["1"], [""]])
  assert "0 rewards for 1 predictions" in grade.error
