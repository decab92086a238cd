"""Samples of a policy for a list of problems, scored and stored."""

import dataclasses
import functools
import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

from qsharp_jax import generate, rewards
from qsharp_jax.core.errors import Preempted
from qsharp_jax.rollout import grading, on_device, partly, store, switch
from qsharp_jax.rollout import problems as problems_lib
from qsharp_jax.rollout.problems import Answer, Plan, Problem
from qsharp_jax.sharding import processes

T = TypeVar("T")

_STRETCH = 8  # batches that refill one another's rows
_UNSEEN = 90.0  # seconds until a new file of another host is seen at the latest


@dataclasses.dataclass(frozen=True)
class Sampler:
  """Who samples, and how text is graded."""

  complete: generate.requests.Complete
  batch_size: int  # problems of one shard of the store
  decode: Callable[[list[int]], str]  # token ids to text
  grade: rewards.GradeFn
  reward: str = ""  # what grades, as the store notes it
  # Samples and grades in the place of `complete` and `grade`.
  devices: on_device.Sampler | None = None
  # As `complete`, for those samples of a question that need a KL or for the
  # others; None: there is nothing to be saved.
  complete_part: partly.Complete | None = None


@dataclasses.dataclass(frozen=True)
class Batch:
  """The answers to some problems, not graded yet."""

  problems: Sequence[Problem]
  answers: Sequence[Answer]
  seconds: float  # that went into each sample


def collect(
  sampler: Sampler, problems: Sequence[Problem], plan: Plan, directory
) -> Iterator[int]:
  """Samples all problems into a store: `collect_all` with one plan."""
  yield from collect_all(sampler, problems, {directory: plan})


def collect_all(
  sampler: Sampler,
  problems: Sequence[Problem],
  plans: Mapping[str | os.PathLike, Plan],
) -> Iterator[int]:
  """Samples all problems by each plan, into a store for each.

  A store has one shard per batch of problems, of the size with which it was
  begun. Shards that can be read are left alone, so a second call goes on where
  the first one stopped. All processes sample together; each grades and writes
  its share of the shards, and is not waited for.

  Batches go through the decode loop in stretches, those of all plans as one
  stream; a stretch that was interrupted is sampled again as a whole, so that
  the numbers of its missing shards are, to the last bit, those of a run never
  stopped.

  Args:
    sampler: samples and grades.
    problems: the questions.
    plans: by directory; they differ in eta alone.

  Yields:
    The number of problems done, each counted once for every plan.

  Raises:
    Preempted: the machine is wanted back.
  """
  processes.agree(
    f"damaged shards of {', '.join(map(str, plans))}",
    sum(map(store.set_damaged_aside, plans)),
  )
  sizes = processes.agree(
    f"shard sizes of {', '.join(map(str, plans))}",
    [store.shard_size(d, default=sampler.batch_size) for d in plans],
  )
  sizes = dict(zip(plans, sizes, strict=True))
  batches = {
    directory: [problems[i : i + size] for i in range(0, len(problems), size)]
    for directory, size in sizes.items()
  }
  missing = processes.agree(
    f"shards of {', '.join(map(str, plans))}",
    {
      str(directory): [
        not store.shard_path(directory, index).exists()
        for index in range(len(own))
      ]
      for directory, own in batches.items()
    },
  )
  done = 0
  for start in range(0, max(map(len, batches.values())), _STRETCH):
    parts = [
      (directory, index)
      for directory, own in batches.items()
      for index in range(start, min(start + _STRETCH, len(own)))
    ]
    is_due = any(missing[str(d)][i] for d, i in parts)
    samples = _samples(sampler, [(plans[d], batches[d][i]) for d, i in parts])
    for directory, index in parts:
      graded_rows = next(samples) if is_due else None
      if missing[str(directory)][index] and processes.is_mine(index):
        store.write_shard(
          directory,
          index,
          graded_rows(),
          num_problems=sizes[directory],
          graded_by=sampler.reward,
        )
      done += len(batches[directory][index])
      yield done


def is_complete(directory, num_problems: int, *, batch_size: int) -> bool:
  """Whether every shard of so many problems is there.

  Args:
    directory: of the store.
    num_problems: of all shards.
    batch_size: problems of a shard, if the store does not say.
  """
  size = store.shard_size(directory, default=batch_size)
  num_shards = -(-num_problems // size)
  return all(
    store.shard_path(directory, index).exists() for index in range(num_shards)
  )


def wait_until_complete(
  directory, num_problems: int, *, batch_size: int
) -> None:
  """Returns once every shard is seen here: other hosts may have written it.

  Raises:
    RuntimeError: one is not seen for longer than file systems remember what
      was not there.
  """
  deadline = time.monotonic() + _UNSEEN
  while not is_complete(directory, num_problems, batch_size=batch_size):
    if time.monotonic() > deadline:
      raise RuntimeError(
        f"{directory} lacks a shard that another host has written; check that "
        "all hosts share the workdir"
      )
    time.sleep(1.0)


def _samples(
  sampler: Sampler, parts: Sequence[tuple[Plan, Sequence[Problem]]]
) -> Iterator[Callable[[], store.Rollouts | list[store.Rollout]]]:
  """The rows of each batch, graded when they are asked for."""
  if sampler.devices is not None:
    for rows in _watched(sampler.devices.samples(parts)):
      yield lambda rows=rows: rows
    return
  for (plan, _), batch in zip(parts, _answer(sampler, parts), strict=True):
    yield functools.partial(graded, sampler, plan, batch)


def answer(
  sampler: Sampler, batches: Sequence[Sequence[Problem]], plan: Plan
) -> Iterator[Batch]:
  """Samples of each batch; all go through the decode loop as one stream."""
  yield from _answer(sampler, [(plan, batch) for batch in batches])


def _answer(
  sampler: Sampler, parts: Sequence[tuple[Plan, Sequence[Problem]]]
) -> Iterator[Batch]:
  """Samples of each batch by its own plan, as one stream."""
  requests = [
    request
    for plan, batch in parts
    for problem in batch
    for request in problems_lib.requests(problem, plan)
  ]
  started = time.monotonic()
  answers = _complete(sampler, requests, parts[0][0])
  # What all of them waited for is shared by all.
  num_samples = sum(plan.num_samples * len(batch) for plan, batch in parts)
  shared = (time.monotonic() - started) / max(1, num_samples)
  for plan, batch in parts:
    started = time.monotonic()
    size = problems_lib.num_requests(plan)
    found = [
      problems_lib.joined(list(itertools.islice(answers, size)))
      for _ in range(len(batch))
    ]
    seconds = (time.monotonic() - started) / (len(batch) * plan.num_samples)
    yield Batch(batch, found, seconds + shared)


def graded(sampler: Sampler, plan: Plan, batch: Batch) -> list[store.Rollout]:
  """Rows of the store, the samples of a problem side by side."""
  rows = [
    (problem, answer, i)
    for problem, answer in zip(batch.problems, batch.answers, strict=True)
    for i in range(plan.num_samples)
  ]
  tokens = [answer.completions[i].tokens for _, answer, i in rows]
  texts = [sampler.decode(ids.tolist()) for ids in tokens]
  grades = grading.grade_texts(
    sampler.grade, texts, [problem for problem, _, _ in rows]
  )
  return [
    store.Rollout(
      question_id=problem.id,
      sample=i,
      seed=answer.request.seeds[i],
      eta=plan.eta,
      prompt=problem.prompt,
      tokens=ids,
      first_label=int(answer.first_labels[i]),
      ended=answer.completions[i].ended,
      text=text,
      extracted=grade.extracted,
      correct=grade.correct,
      label=grade.reward,
      error=grade.error,
      kl=float(answer.completions[i].kl.sum()),
      kl_filtered=float(answer.completions[i].kl_filtered.sum()),
      forwards=answer.completions[i].num_forwards,
      seconds=batch.seconds,
      answer=problem.answer,
      split=problem.split,
      question=problem.question,
    )
    for (problem, answer, i), ids, text, grade in zip(
      rows, tokens, texts, grades, strict=True
    )
  ]


def _complete(
  sampler: Sampler, requests: Sequence[generate.Request], plan: Plan
) -> Iterator[Answer]:
  """Completions of all requests, in their order."""
  if plan.rule == "response":
    # The same seeds give the same guided response again, up to the switch.
    groups = _completions(sampler, requests, plan)
    lengths = [[len(c.tokens) for c in group] for group in groups]
    requests = [
      problems_lib.cut(r, own) for r, own in zip(requests, lengths, strict=True)
    ]
  groups = _completions(sampler, requests, plan)
  return _labelled(requests, groups, plan.rule)


def _completions(
  sampler: Sampler, requests: Sequence[generate.Request], plan: Plan
) -> Iterator[list[generate.Completion]]:
  """Those of each request, until the machine is wanted back."""
  if sampler.complete_part is None:
    return _watched(sampler.complete(requests))

  def run(own: Sequence[generate.Request], part: partly.Part):
    return _watched(sampler.complete_part(own, part))

  return partly.complete(run, requests, plan.kl_every)


def _watched(groups: Iterator[T]) -> Iterator[T]:
  """The same groups, until the machine is wanted back."""
  for group in groups:
    if processes.termination.look():
      raise Preempted("all shards before this batch are written")
    yield group


def _labelled(
  requests: Sequence[generate.Request],
  groups: Iterator[list[generate.Completion]],
  rule: switch.Rule | None,
) -> Iterator[Answer]:
  """Pairs requests with their completions, and says where labels begin."""
  for request, group in zip(requests, groups, strict=True):
    first = np.zeros(len(group), int)
    if rule is not None:
      first = switch.first_label(request.guided_steps, rule)
    yield Answer(request, group, first)
