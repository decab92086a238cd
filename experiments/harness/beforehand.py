"""What is looked at before the first stage: a late refusal is a lost night.

All that needs no sample, in this order; each raises an InputError:

1. single fields, and fields against each other (`checks.check`)
2. the run's directory holds this run or nothing (`pipeline.Workdir`), and no
   other process works in it (`pipeline.hold`)
3. the devices share the rows of every batch (`checks.check_rows`)
4. questions, their splits and gold answers (`questions.splits`)
5. the directory can be written (`check_writable`)
6. the reward is imported, and grades (`check_reward`), like every other one
   that a method asks for
7. a model of our own: prompts with their longest answers fit its context, as
   soon as its tokenizer is there and before it is trained (`lengths`)
8. the models are there, of one tokenizer, and prompts fit (`lengths`)
9. memory of collecting and of training values (`memory_checks`)
10. each method: its settings, its rows (`lengths`), the memory of its training
    and its samples (`memory_checks`), the weights of others that it mixes
11. the disk holds what the run leaves there (`check_disk`)
"""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterable, Iterator

import jax

from experiments.harness import questions
from qsharp_jax import pipeline, rewards
from qsharp_jax.checkpoint import mirror
from qsharp_jax.core import files
from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import base
from qsharp_jax.generate import memory

_TRIALS = 4  # answers that a reward is tried on
_NUM_STATES = 2  # checkpoints beside one another
_STATE = 3  # parameters and two moments, in float32 like what is saved
_GB = 1e9


def check_writable(workdir: pipeline.Workdir) -> None:
  """Writes a file and removes it, in a run that has no report yet.

  Raises:
    InputError: says why it cannot, or that there can be no checkpoints.
  """
  path = workdir.path
  if (path / "report.json").exists():
    return
  mirror.is_needed(path)
  trial = path / f".writable-{jax.process_index()}"
  try:
    files.replace(trial, "")
    trial.unlink()
  except OSError as error:
    raise InputError(
      f"{path} cannot be written: {error.strerror or error}; free or mount it "
      "for writing, or choose another --workdir"
    ) from error


def check_reward(
  name: str, grader: rewards.Grader, splits: questions.Splits
) -> None:
  """Grades some gold answers as if they had been sampled.

  Raises:
    InputError: a grade of none of them could be found.
  """
  tried = [q for found in splits.values() for q in found][:_TRIALS]
  answers = [question.answer for question in tried]
  grades = grader.grade(
    answers, answers, prompts=[question.question for question in tried]
  )
  if grades and all(grade.error for grade in grades):
    raise InputError(
      f"the reward {name} gave no grade in a trial: asked to grade the answer "
      f"{answers[0]!r} against itself, {grades[0].error}; mend it, or name "
      "another reward in its place"
    )


def check_disk(run: pipeline.Run, tuned: Iterable[base.Settings]) -> None:
  """Compares what a run writes beside its samples with what is free.

  Args:
    run: its values, a model each round.
    tuned: settings of the policies that it fine-tunes.

  Raises:
    InputError: says how much is needed, and what is there.
  """
  value, reference = run.players.policy.value, run.players.policy.reference

  def size(model):
    return _num_parameters(model) * 4

  saved, states = run.rounds.num_rounds * size(value), [size(value)]
  for settings in tuned:
    saved += size(reference)
    states.append(sum(map(size, settings.trained(reference))))
  needed = saved + _NUM_STATES * _STATE * max(states)
  path = run.workdir.path
  if not isinstance(path, pathlib.Path):
    return  # a bucket has no end
  held = sum(_sizes(path))
  free = shutil.disk_usage(_existing(path)).free
  if needed > free + held:
    raise InputError(
      f"{path} has {free / _GB:.3g} GB free, and {held / _GB:.3g} in use by "
      f"this run; its models and checkpoints need {needed / _GB:.3g}: free "
      "some, or choose another --workdir"
    )


def _num_parameters(model) -> int:
  config = model.config
  size = {"float32": 4, "bfloat16": 2}[config.param_dtype]
  return memory.parameter_bytes(model) // size


def _sizes(path: pathlib.Path) -> Iterator[int]:
  """Bytes of each file below; other processes may take some away meanwhile."""
  for folder, _, names in os.walk(path):  # passes over what is gone
    for name in names:
      with contextlib.suppress(FileNotFoundError):
        yield os.stat(os.path.join(folder, name)).st_size


def _existing(path: pathlib.Path) -> pathlib.Path:
  """The folder, or the nearest one above it that is there."""
  return next(x for x in (path, *path.parents) if x.exists())
