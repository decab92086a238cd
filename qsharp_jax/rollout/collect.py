"""Samples of a policy for a list of problems, scored and stored."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from qsharp_jax import generate, rewards
from qsharp_jax.core import seeds as seeds_lib
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.generate import batching
from qsharp_jax.rollout import store, switch

Grade = Callable[[list[str], list[str]], list[rewards.Grade]]


@dataclasses.dataclass(frozen=True)
class Problem:
  """A question ready to be sampled and graded."""

  id: str
  prompt: Sequence[int]  # token ids
  answer: str  # gold


@dataclasses.dataclass(frozen=True)
class Plan:
  """What to sample."""

  num_samples: int
  seed: int
  eta: float | None = None  # None: the reference alone
  rule: switch.Rule | None = None  # None: one policy from start to end
  horizon: int = 1  # latest switch of the rule `algorithm1`, in tokens


@dataclasses.dataclass(frozen=True)
class Sampler:
  """Who samples, and how text is graded."""

  policy: generate.Policy
  params: PyTree
  sampling: generate.Sampling
  decode: Callable[[list[int]], str]  # token ids to text
  grade: Grade
  place: Callable[[PyTree], PyTree]


def collect(
  sampler: Sampler, problems: Sequence[Problem], plan: Plan, directory
) -> Iterator[int]:
  """Samples all problems into a store, one shard per batch.

  Shards that exist are left alone, so a second call goes on where the first
  one stopped; a sample depends on the plan and its own question only, so the
  result is the same.

  Yields:
    The number of problems done.
  """
  size = sampler.sampling.batch_size
  for index, start in enumerate(range(0, len(problems), size)):
    batch = problems[start : start + size]
    if not store.shard_path(directory, index).exists():
      store.write_shard(directory, index, sample(sampler, batch, plan))
    yield start + len(batch)


def is_complete(directory, num_problems: int, *, batch_size: int) -> bool:
  """Whether every shard of so many problems is there."""
  num_shards = -(-num_problems // batch_size)
  return all(
    store.shard_path(directory, index).exists() for index in range(num_shards)
  )


def sample(
  sampler: Sampler, problems: Sequence[Problem], plan: Plan
) -> list[store.Rollout]:
  """Scored samples of the problems, side by side."""
  started = time.monotonic()
  requests = [_request(problem, plan) for problem in problems]
  completions, first_labels = _complete(sampler, requests, plan)
  seconds = (time.monotonic() - started) / max(1, len(completions))
  texts = [sampler.decode(c.tokens.tolist()) for c in completions]
  owners = [problem for problem in problems for _ in range(plan.num_samples)]
  grades = sampler.grade(texts, [problem.answer for problem in owners])
  return [
    store.Rollout(
      question_id=owner.id,
      sample=i % plan.num_samples,
      seed=requests[i // plan.num_samples].seeds[i % plan.num_samples],
      eta=plan.eta,
      prompt=owner.prompt,
      tokens=completion.tokens.tolist(),
      first_label=int(first_labels[i]),
      ended=completion.ended,
      text=texts[i],
      extracted=grades[i].extracted,
      correct=grades[i].correct,
      label=grades[i].reward,
      error=grades[i].error,
      kl=float(completion.kl.sum()),
      kl_filtered=float(completion.kl_filtered.sum()),
      seconds=seconds,
    )
    for i, (owner, completion) in enumerate(
      zip(owners, completions, strict=True)
    )
  ]


def _request(problem: Problem, plan: Plan) -> generate.Request:
  """The request for a problem; its seeds name the question and the sample."""
  seeds = [
    seeds_lib.stable_seed(plan.seed, problem.id, i)
    for i in range(plan.num_samples)
  ]
  steps = None
  if plan.rule == "algorithm1":
    steps = switch.draw_before(seeds, horizon=plan.horizon).tolist()
  eta = float("inf") if plan.eta is None else plan.eta
  return generate.Request(problem.prompt, seeds, eta, steps)


def _complete(
  sampler: Sampler, requests: list[generate.Request], plan: Plan
) -> tuple[list[generate.Completion], np.ndarray]:
  """Completions of all samples, and the first labelled token of each."""
  run = lambda requests: [
    completion
    for group in batching.generate(
      sampler.policy,
      sampler.params,
      requests,
      sampler.sampling,
      place=sampler.place,
    )
    for completion in group
  ]
  if plan.rule is None:
    return run(requests), np.zeros(len(requests) * plan.num_samples, int)
  if plan.rule == "response":
    # The same seeds give the same guided response again, up to the switch.
    lengths = [len(completion.tokens) for completion in run(requests)]
    requests = _cut_within(requests, lengths)
  steps = np.concatenate([request.guided_steps for request in requests])
  return run(requests), switch.first_label(steps, plan.rule)


def _cut_within(
  requests: list[generate.Request], lengths: list[int]
) -> list[generate.Request]:
  """The same requests with a switch inside each guided response."""
  remaining = iter(lengths)
  cut = []
  for request in requests:
    own = [next(remaining) for _ in request.seeds]
    steps = switch.draw_within(request.seeds, own).tolist()
    cut.append(dataclasses.replace(request, guided_steps=steps))
  return cut
