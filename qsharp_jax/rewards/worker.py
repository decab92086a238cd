r"""The process that grades: JSON lines in, JSON lines out. See `workers`.

The first line out is `{"refused": null, "traits": {...}}`, or says why there is
no reward. Then it reads chunks, one per line (`[[index, prediction, answer,
prompt], ...]`), and answers each task with a line of its own (`[index, correct,
extracted, reward, error]`), at once, so that the parent knows which task a
silent worker is in; a batched reward is asked once for a chunk.
"""

import contextlib
import dataclasses
import json
import os
import resource
import sys
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from qsharp_jax.core.errors import InputError
from qsharp_jax.rewards import graders, registry
from qsharp_jax.rewards.graders import Grade

_LONGEST_REASON = 300  # characters
# Equal only to math-verify, so that it is imported and has its expressions
# compiled (seconds, on a busy machine) before the first time limit runs.
_WARM_UP = (r"\boxed{(x + 1)^2}", "1 + 2x + x^2")


def main(reward_name: str, memory_limit: int) -> None:
  """Grades until the parent closes the pipe.

  Args:
    reward_name: a name that `registry.resolve` knows.
    memory_limit: bytes of address space.
  """
  tasks, results = _private_pipes()
  with contextlib.suppress(ValueError, OSError):  # beyond the hard limit
    resource.setrlimit(resource.RLIMIT_AS, (memory_limit, memory_limit))
  try:
    _grade(reward_name, tasks, results)
  except BaseException as error:  # what a user's code left behind
    print(f"a grading worker ends: {_text(error)}", file=sys.stderr, flush=True)
    os._exit(1)


def _grade(reward_name: str, tasks: BinaryIO, results: BinaryIO) -> None:
  """Says what the reward is, then answers each chunk."""
  process_id = os.getpid()
  reward_fn, traits, refusal = _resolved(reward_name)
  _leave_if_forked(process_id)
  if reward_fn is None:
    _send(results, {"refused": refusal})
    return
  _send(results, {"refused": None, "traits": dataclasses.asdict(traits)})
  grade_all = _graded_together if traits.is_batched else _graded_singly
  for chunk in tasks:
    indices, *columns = zip(*json.loads(chunk), strict=True)
    if not traits.takes_prompt:
      columns = columns[:2]
    for index, grade in zip(
      indices, grade_all(reward_fn, columns), strict=True
    ):
      _leave_if_forked(process_id)
      fields = [grade.correct, grade.extracted, grade.reward, grade.error]
      _send(results, [index, *fields])


def _resolved(
  name: str,
) -> tuple[registry.RewardFn | None, registry.Traits, str | None]:
  """The function and its traits, or why not; a module may do anything."""
  try:
    reward_fn = registry.resolve(name)
    if name in registry.NAMED:
      reward_fn(*_WARM_UP)
    return reward_fn, registry.traits_of(name, reward_fn), None
  except InputError as error:
    refusal = str(error)
  except BaseException as error:
    refusal = f"reward {name!r} does not import ({_text(error)})"
  return None, registry.Traits(), refusal


def _graded_singly(
  reward_fn: registry.RewardFn, columns: Sequence[Sequence[str]]
) -> Iterator[Grade]:
  """Grades of predictions, answers and perhaps prompts, one call for each."""
  for row in zip(*columns, strict=True):
    try:
      yield graders.as_grade(_call(reward_fn, row))
    except BaseException as error:  # a user's function may do anything
      yield _raised(error)


def _graded_together(
  reward_fn: registry.RewardFn, columns: Sequence[Sequence[str]]
) -> list[Grade]:
  """The same in one call; where it fails, one call for each, to blame one."""
  expected = len(columns[0])
  try:
    values = list(_call(reward_fn, [list(column) for column in columns]))
    if len(values) != expected:
      raise ValueError(f"{len(values)} rewards for {expected} predictions")
    return [graders.as_grade(value) for value in values]
  except BaseException as error:  # a user's function may do anything
    if expected == 1:
      return [_raised(error)]
  rows = zip(*columns, strict=True)
  return [
    _graded_together(reward_fn, [[cell] for cell in row])[0] for row in rows
  ]


def _call(reward_fn: registry.RewardFn, columns: Sequence):
  prediction, answer, *prompt = columns
  if prompt:
    return reward_fn(prediction, answer, prompt=prompt[0])
  return reward_fn(prediction, answer)


def _raised(error: BaseException) -> Grade:
  return graders.failed(f"reward raised {_text(error)}")


def _text(error: BaseException) -> str:
  """One line; the words of an exception of a user's may themselves raise."""
  name = type(error).__name__
  try:
    return " ".join(f"{name}: {error}".split())[:_LONGEST_REASON]
  except BaseException:
    return name


def _leave_if_forked(process_id: int) -> None:
  """Ends a child that a user's code forked and let run on into ours."""
  if os.getpid() != process_id:
    os._exit(0)


def _send(results: BinaryIO, message: object) -> None:
  results.write(json.dumps(message).encode() + b"\n")
  results.flush()


def _private_pipes() -> tuple[BinaryIO, BinaryIO]:
  """The pipes to the parent, out of reach of a reward that prints or reads.

  Descriptor 0 becomes empty and 1 becomes stderr, for C code too.
  """
  tasks = os.fdopen(os.dup(0), "rb")
  results = os.fdopen(os.dup(1), "wb")
  null = os.open(os.devnull, os.O_RDONLY)
  os.dup2(null, 0)
  os.close(null)
  os.dup2(2, 1)
  sys.stdout = sys.stderr
  return tasks, results
