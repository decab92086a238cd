"""Searches as methods: whole answers, blocks or candidates are judged."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from qsharp_jax import rollout
from qsharp_jax.generate import beam, blocks, memory, transfer
from qsharp_jax.pipeline import methods
from qsharp_jax.pipeline import run as run_lib
from qsharp_jax.rewards import grading
from qsharp_jax.sharding import processes
from qsharp_jax.training import value_model


def likeliest(
  run: run_lib.Run, train: Callable[[], str], *, num_beams: int
) -> methods.Method:
  """The likeliest answer of a tuned policy that a beam search finds."""

  def sampler(_: int) -> rollout.Sampler:
    actor, params = methods.load_policy(run, train())
    everyone = {"reference": run.players.reference_params, "actor": params}
    return run.searcher(
      lambda requests: beam.generate(
        run.unguided(actor=actor),
        everyone,
        requests,
        run.sampling,
        num_beams=num_beams,
        place=run.layout.place,
      )
    )

  policy = run.unguided(actor=run.players.policy.reference)
  beams = methods.needs(policy, num_samples=num_beams, num_newcomers=0)

  def held(**sizes: Any) -> memory.Needed:
    found = beams(**sizes)
    # The beams of the next step are copies.
    return dataclasses.replace(found, caches=2 * found.caches)

  return methods.Method(
    sampler, prepare=train, num_samples=1, has_values=False, needs=held
  )


def looking_ahead(
  run: run_lib.Run,
  train: Callable[[], str] | None,
  rewards: Callable[[], transfer.Rewards],
  weigh: transfer.Weigh,
  etas: Sequence[float],
  *,
  num_candidates: int,
  num_rollouts: int,
  horizon: int | None = None,
) -> methods.Method:
  """Transfer Q* over a tuned policy; without one, over the reference.

  With a `horizon` of 0 tokens it is ARGS.
  """

  def sampler(_: int) -> rollout.Sampler:
    everyone, actor = {"reference": run.players.reference_params}, None
    if train is not None:
      actor, everyone["actor"] = methods.load_policy(run, train())
    policy = run.unguided(actor=actor, num_candidates=num_candidates)
    judge_all = rewards()
    return run.searcher(
      lambda requests: transfer.generate(
        policy,
        everyone,
        requests,
        run.sampling,
        rewards=judge_all,
        weigh=weigh,
        num_rollouts=num_rollouts,
        horizon=horizon,
        place=run.layout.place,
      )
    )

  reference = run.players.policy.reference
  whole = run.unguided(actor=reference if train is not None else None)
  num_branches = num_candidates * num_rollouts

  def held(**sizes: Any) -> memory.Needed:
    found = methods.needs(whole, num_newcomers=0)(**sizes)
    # Branches are rows of their own, of whichever model rolls out.
    rows = methods.needs(
      run.unguided(), num_newcomers=0, num_samples=num_branches
    )(**sizes)
    return dataclasses.replace(
      found,
      caches=found.caches + rows.caches,
      workspace=found.workspace + rows.workspace,
    )

  return methods.Method(
    sampler,
    etas,
    prepare=train or methods.nothing,
    num_samples=1,
    needs=held,
  )


def block_search(
  run: run_lib.Run,
  rewards: Callable[[], transfer.Rewards],
  *,
  num_samples: int,
  num_kept: int,
  block_length: int,
) -> methods.Method:
  """Blocks of the reference, chosen by the first reward of their prefixes."""
  sampling = dataclasses.replace(run.sampling, max_new_tokens=block_length)

  def sampler(_: int) -> rollout.Sampler:
    complete = run.sampler_of(run.unguided(), {}, sampling).complete
    return run.searcher(
      lambda requests: blocks.generate(
        complete,
        _score(rewards()),
        requests,
        num_kept=num_kept,
        block_length=block_length,
        max_new_tokens=run.sampling.max_new_tokens,
      )
    )

  def held(**sizes: Any) -> memory.Needed:
    # Every kept prefix is a prompt, which grows by blocks.
    block = min(block_length, sizes["max_new_tokens"])
    length = sizes["prompt_length"] + sizes["max_new_tokens"] - block
    own = {"prompt_length": length, "max_new_tokens": block}
    own["num_samples"] = num_samples // num_kept
    return methods.needs(run.unguided(), **own)(**sizes)

  return methods.Method(sampler, num_samples=num_samples, needs=held)


def best_of(
  run: run_lib.Run, rewards: Callable[[], transfer.Rewards], *, num_samples: int
) -> methods.Method:
  """The answer of the greatest first reward among samples of the reference."""

  def sampler(_: int) -> rollout.Sampler:
    complete = run.sampler(None).complete
    return run.searcher(
      lambda requests: blocks.best_of(
        complete, _score(rewards()), requests, num_samples=num_samples
      )
    )

  held = methods.needs(run.unguided(), num_samples=num_samples)
  return methods.Method(sampler, num_samples=1, needs=held)


def _score(rewards: transfer.Rewards) -> blocks.Score:
  """The first column of rewards, as the main process finds it."""
  # A reward made of text may time out in one process and not in another.
  return lambda ends: np.array(
    processes.agree("rewards of answers", rewards(ends)[:, 0].tolist())
  )


def judge(
  run: run_lib.Run,
) -> Callable[[Sequence[Sequence[int]]], np.ndarray]:
  """The last round's values of whole sequences, as a function."""
  params = run.values(run.rounds.num_rounds)
  return lambda sequences: value_model.final_values(
    run.players.critic,
    params,
    sequences,
    length=run.fit.max_length,
    batch_size=run.fit.batch_size,
    layout=run.layout,
  )


def value_rewards(run: run_lib.Run) -> transfer.Rewards:
  """The last round's value of whole answers as their reward: one column."""
  score = judge(run)
  return lambda ends: score([[*r.prompt, *tokens] for r, tokens in ends])[
    :, None
  ]


def graded_rewards(
  task: run_lib.Task, grades: Sequence[grading.GradeFn]
) -> transfer.Rewards:
  """Rewards of texts, finished or not: one column for each grade.

  A grader that reads the gold answers makes it a bound, not a method. A reward
  that failed counts as 0.
  """
  problems = {p.id: p for p in [*task.validation, *task.test]}

  def rewards(ends) -> np.ndarray:
    texts = [task.decode(tokens) for _, tokens in ends]
    asked = [problems[request.id] for request, _ in ends]
    columns = [
      [g.reward for g in rollout.grading.grade_texts(grade, texts, asked)]
      for grade in grades
    ]
    return np.array(columns, np.float32).T

  return rewards
