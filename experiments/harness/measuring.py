"""Seconds of an answer, of a step of training and of a judgement, measured.

Everything is done twice: what the first time compiles is not counted.
"""

import dataclasses
import statistics
import time
from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np

from qsharp_jax import data, pipeline, rollout, training
from qsharp_jax.core import places
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.pipeline import searches
from qsharp_jax.training import objectives

_BATCHES = 2  # of prompts: the second one enters as the first one leaves
_STEPS = 8  # of training


class Answers(NamedTuple):
  """Some answers, and what one of them took, its reward included."""

  seconds: float
  found: rollout.Rollouts

  @property
  def tokens(self) -> float:
    """Of an answer, on average."""
    return float(self.found.lengths.mean())


def answers(
  run: pipeline.Run, name: str, sampler: rollout.Sampler, plan: rollout.Plan
) -> Answers:
  """Samples two batches of prompts, the longest among them.

  Args:
    run: its questions; the samples are written into its directory.
    name: of the directory, and of the progress.
    sampler: samples and grades.
    plan: its number of samples and eta.
  """
  task = run.task
  every = [*task.train, *task.validation, *task.test]
  longest = max(every, key=lambda problem: len(problem.prompt))
  others = [problem for problem in every if problem is not longest]
  chosen = [longest, *others][: _BATCHES * sampler.batch_size]
  for trial in range(2):
    store = run.workdir.path / "measured" / name / str(trial)
    started = time.monotonic()
    own = dataclasses.replace(plan, seed=trial)
    pipeline.algorithm1.sample_each(run, sampler, chosen, {store: own})
    seconds = time.monotonic() - started
  found = rollout.store.read(store, with_text=False)
  return Answers(seconds / len(found), found)


def judgement(run: pipeline.Run, found: rollout.Rollouts) -> float:
  """Seconds in which the values read one whole answer."""
  judge = searches.judge(run)
  pairs = zip(found.prompt, found.tokens, strict=True)
  sequences = [np.concatenate(pair) for pair in pairs]
  for _ in range(2):
    started = time.monotonic()
    judge(sequences)
    seconds = time.monotonic() - started
  return seconds / len(sequences)


def step(
  objective: objectives.Objective,
  params: PyTree,
  rows: data.Packed,
  how: training.Fit,
  run: pipeline.Run,
  name: str,
) -> float:
  """Seconds of a step of training.

  Args:
    objective: as for `training.fit.fit`.
    params: given up.
    rows: what is learnt from, as often as a batch needs.
    how: hyper-parameters.
    run: the devices; checkpoints and events are written into its directory.
    name: of the progress.
  """
  how = dataclasses.replace(how, checkpoint_every=10**9)
  batches = _Again(rows, how)
  directory: places.Path = run.workdir.path / "measured" / name
  training.fit.fit(objective, params, batches, how, run.layout, directory)
  return statistics.median(np.diff(batches.times))


class _Again:
  """One full batch, again and again; notes when each step begins."""

  num_steps, block = _STEPS, 1

  def __init__(self, rows: data.Packed, how: training.Fit):
    self.times: list[float] = []
    chosen = np.resize(np.arange(len(rows.tokens)), how.batch_size)
    full = data.Packed(*(field[chosen] for field in rows))
    self._batch = data.Loader(
      full, batch_size=how.batch_size, seed=how.seed
    ).batch(0)

  def __call__(self, step: int, params: PyTree) -> Mapping[str, np.ndarray]:
    """The batch, once the step before is over."""
    del step
    jax.block_until_ready(params)
    self.times.append(time.monotonic())
    return self._batch

  def metrics(self, step: int) -> Mapping[str, float]:
    """Nothing beyond the loss."""
    del step
    return {}
