r"""The process that grades: JSON lines in, JSON lines out. See `workers`.

Reads chunks, one per line (`[[prediction, answer], ...]`), and answers each
task with a line of its own (`[correct, extracted, reward, error]`), at once, so
that the parent knows which task a silent worker is stuck in. The first line
out is `"ready"`.
"""

import json
import os
import sys
from typing import BinaryIO

from qsharp_jax.rewards import graders, registry
from qsharp_jax.rewards.graders import Grade

# Equal only to math-verify, so that it is imported and has its expressions
# compiled (seconds, on a busy machine) before the first time limit runs.
_WARM_UP = (r"\boxed{x + 1}", "1 + x")


def main(reward_name: str) -> None:
  """Grades until the parent closes the pipe."""
  tasks, results = _private_pipes()
  reward_fn = registry.resolve(reward_name)
  if reward_name in registry.NAMED:
    reward_fn(*_WARM_UP)
  results.write(b'"ready"\n')
  for chunk in tasks:
    for prediction, answer in json.loads(chunk):
      grade = _graded(reward_fn, prediction, answer)
      fields = [grade.correct, grade.extracted, grade.reward, grade.error]
      results.write(json.dumps(fields).encode() + b"\n")


def _graded(
  reward_fn: registry.RewardFn, prediction: str, answer: str
) -> Grade:
  try:
    return graders.as_grade(reward_fn(prediction, answer))
  except (Exception, SystemExit) as error:  # a user's function may do anything
    return graders.failed(f"reward raised {type(error).__name__}: {error}")


def _private_pipes() -> tuple[BinaryIO, BinaryIO]:
  """The pipes to the parent, out of reach of a reward that prints or reads.

  Descriptor 0 becomes empty and 1 becomes stderr, for C code too.
  """
  tasks = os.fdopen(os.dup(0), "rb")
  results = os.fdopen(os.dup(1), "wb", buffering=0)
  null = os.open(os.devnull, os.O_RDONLY)
  os.dup2(null, 0)
  os.close(null)
  os.dup2(2, 1)
  sys.stdout = sys.stderr
  return tasks, results
