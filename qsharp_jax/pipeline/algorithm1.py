"""Algorithm 1 of arXiv 2502.20548: collect, aggregate, train, repeat."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from qsharp_jax import rollout
from qsharp_jax.core import places, progress, seeds
from qsharp_jax.pipeline import (
  bindings,
  labelled,
  standardising,
  support,
  training_bindings,
)
from qsharp_jax.pipeline import run as run_lib
from qsharp_jax.pipeline import values as values_lib
from qsharp_jax.sharding import processes
from qsharp_jax.training import fit as fit_lib


def learn(run: run_lib.Run) -> run_lib.Run:
  """Trains the value model, round after round.

  Returns:
    The run, the scale of its rewards and the support of its values settled by
    the rewards of round 1.
  """
  for round_index in range(1, run.rounds.num_rounds + 1):
    collect(run, round_index)
    if round_index == 1 and run.task.is_standardised:
      run = standardising.settle(run)
    if round_index == 1:
      run = support.settle(run)
    train(run, round_index)
    fit_lib.forget(run.paths.round(round_index))
  return run


def collect(run: run_lib.Run, round_index: int) -> None:
  """Rolls in with the latest guided policy and out with the reference."""
  problems = [*run.task.train, *run.task.validation]
  store = run.paths.rollouts(round_index)
  with run.workdir.stages([bindings.collect(run, round_index)]) as due:
    if due:
      _roll_out(run, round_index, problems, store)
  # Round 1 is graded as the reward does, then standardised.
  if round_index > 1 or not run.task.is_standardised:
    run.follow_reward([store])


def _roll_out(
  run: run_lib.Run,
  round_index: int,
  problems: Sequence[rollout.Problem],
  store: places.Path,
) -> None:
  """Samples a round's rollouts into a store."""
  plan = rollout.Plan(
    num_samples=run.rounds.num_samples,
    seed=seeds.stable_seed(run.rounds.seed, "collect", round_index),
  )
  values = None
  if round_index > 1:
    # Round 1 has no values yet: roll-in and roll-out are one plain rollout.
    values = values_lib.load(run, round_index - 1)
    plan = dataclasses.replace(
      plan,
      eta=run.rounds.eta,
      rule=run.rounds.rule,
      horizon=_mean_length(run, round_index - 1),
    )
  sampler = run.sampler(values)
  if run.reward is None:
    sample_each(run, sampler, problems, {store: plan})
    return
  size = rollout.store.shard_size(store, default=sampler.batch_size)
  longest = max(len(problem.prompt) for problem in problems)
  buffer = run.aggregate.open(
    num_batches=-(-len(problems) // size),
    num_rounds=run.rounds.num_rounds,
    num_rows=size * plan.num_samples,
    length=longest + run.sampling.max_new_tokens,
  )
  on_device = run.device_sampler(values, buffer)
  sampler = dataclasses.replace(sampler, devices=on_device)
  sample_each(run, sampler, problems, {store: plan})
  run.aggregate.close(on_device.buffer)


def sample_each(
  run: run_lib.Run,
  sampler: rollout.Sampler,
  problems: Sequence[rollout.Problem],
  plans: Mapping[places.Path, rollout.Plan],
) -> None:
  """Samples problems by each plan into its store, showing progress."""
  names = [str(store.relative_to(run.workdir.path)) for store in plans]
  total = len(problems)
  label = names[0] + " and others" * (len(names) > 1)
  with progress.bar(
    None, label, total=total * len(plans), unit="question"
  ) as bar:
    for done in rollout.collect.collect_all(sampler, problems, plans):
      bar.update(done - bar.n)
  processes.barrier(f"sampling {', '.join(names)}")
  for store in plans:
    rollout.collect.wait_until_complete(
      store, total, batch_size=sampler.batch_size
    )


def train(run: run_lib.Run, round_index: int) -> None:
  """Fits the values to the rollouts of all rounds so far."""
  directory = run.paths.round(round_index)
  with run.workdir.stages([training_bindings.train(run, round_index)]) as due:
    if not due:
      values_lib.restore_metrics(run, round_index)
      return
    parts = values_lib.first_rounds(run, round_index)
    split = values_lib.as_split(run, parts)
    is_fresh = round_index == 1 or not run.rounds.is_warm
    start = values_lib.placed(run, None if is_fresh else round_index - 1)
    rows = labelled.pack(split.train, length=run.fit.max_length)
    how = values_lib.settings(run, round_index)
    batches = run.aggregate.epochs(
      split, rows, how, [len(part) for part in parts]
    )
    params = values_lib.fit(run, start, batches, how, directory)
    values_lib.measure(run, params, split, directory)
    values_lib.save(run, params, directory)


def _mean_length(run: run_lib.Run, round_index: int) -> int:
  """Mean response length of a round: the horizon of the switch time."""
  lengths = values_lib.rollouts(run, round_index).lengths
  return max(1, round(float(np.mean(lengths))))
