"""Samples of a policy for a list of problems, scored and stored."""

import dataclasses
import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from qsharp_jax import generate, rewards
from qsharp_jax.core import seeds as seeds_lib
from qsharp_jax.core.errors import InputError, Preempted
from qsharp_jax.rollout import store, switch
from qsharp_jax.sharding import processes


class Grade(Protocol):
  """How texts are graded, such as `rewards.GradingPool.grade`."""

  def __call__(
    self,
    predictions: list[str],
    answers: list[str],
    split: str = "",
    *,
    prompts: list[str] | None = None,
  ) -> list[rewards.Grade]:
    """Grades of completions by gold answers and, maybe, questions."""


_STRETCH = 8  # batches that refill one another's rows
_UNSEEN = 90.0  # seconds until a new file of another host is seen at the latest


@dataclasses.dataclass(frozen=True)
class Problem:
  """A question ready to be sampled and graded."""

  id: str
  prompt: Sequence[int]  # token ids
  answer: str  # gold
  split: str = ""  # train, validation or test
  question: str = ""  # its text, for rewards that read it


@dataclasses.dataclass(frozen=True)
class Plan:
  """What to sample."""

  num_samples: int
  seed: int
  eta: float | None = None  # None: the reference alone
  rule: switch.Rule | None = None  # None: one policy from start to end
  horizon: int = 1  # latest switch of the rule `algorithm1`, in tokens
  # Samples of a problem that are decoded together, a part of all; None: all.
  num_together: int | None = None


@dataclasses.dataclass(frozen=True)
class Sampler:
  """Who samples, and how text is graded."""

  complete: generate.requests.Complete
  batch_size: int  # problems of one shard of the store
  decode: Callable[[list[int]], str]  # token ids to text
  grade: Grade
  reward: str = ""  # what grades, as the store notes it


@dataclasses.dataclass(frozen=True)
class Answer:
  """All samples of one problem."""

  request: generate.Request
  completions: list[generate.Completion]
  first_labels: np.ndarray  # [num_samples]


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
  begun. Shards that exist are left alone,
  so a second call goes on where the first one stopped. All processes sample
  together; each grades and writes its share of the shards, and is not waited
  for.

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
    samples = _answer(sampler, [(plans[d], batches[d][i]) for d, i in parts])
    for directory, index in parts:
      batch = next(samples) if is_due else None
      if missing[str(directory)][index] and processes.is_mine(index):
        rows = graded(sampler, plans[directory], batch)
        size = sizes[directory]
        store.write_shard(
          directory, index, rows, num_problems=size, graded_by=sampler.reward
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
    for request in _requests(problem, plan)
  ]
  answers = _complete(sampler, requests, parts[0][0])
  for plan, batch in parts:
    started = time.monotonic()
    size = _num_parts(plan)
    found = [
      _joined(list(itertools.islice(answers, size))) for _ in range(len(batch))
    ]
    seconds = (time.monotonic() - started) / (len(batch) * plan.num_samples)
    yield Batch(batch, found, seconds)


def graded(sampler: Sampler, plan: Plan, batch: Batch) -> list[store.Rollout]:
  """Rows of the store, the samples of a problem side by side."""
  rows = [
    (problem, answer, i)
    for problem, answer in zip(batch.problems, batch.answers, strict=True)
    for i in range(plan.num_samples)
  ]
  tokens = [answer.completions[i].tokens for _, answer, i in rows]
  texts = [sampler.decode(ids.tolist()) for ids in tokens]
  grades = grade_texts(
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


def grade_texts(
  grade: Grade, texts: Sequence[str], problems: Sequence[Problem]
) -> list[rewards.Grade]:
  """Grades of texts, one for each of the problems; each split by itself."""
  found: dict[int, rewards.Grade] = {}
  for split in dict.fromkeys(problem.split for problem in problems):
    own = [i for i, problem in enumerate(problems) if problem.split == split]
    grades = grade(
      [texts[i] for i in own],
      [problems[i].answer for i in own],
      split,
      prompts=[problems[i].question for i in own],
    )
    found.update(zip(own, grades, strict=True))
  return [found[i] for i in range(len(problems))]


def grade_again(
  directory: str | os.PathLike,
  grade: Grade,
  reward: str,
  *,
  is_forced: bool = False,
) -> int:
  """Grades stored texts, without sampling, that another reward has graded.

  Args:
    directory: of a store.
    grade: by the reward.
    reward: what grades, as the store notes it.
    is_forced: grades all again, even what this reward has graded.

  Returns:
    How many shards were graded again.
  """

  def grades(rows: store.Rollouts) -> list[rewards.Grade]:
    columns = zip(rows.answer, rows.split, rows.question, strict=True)
    asked = [Problem("", (), *strings) for strings in columns]
    return grade_texts(grade, rows.text.tolist(), asked)

  return store.regrade(directory, grades, reward, is_forced=is_forced)


def _num_parts(plan: Plan) -> int:
  """Requests of a problem."""
  size = plan.num_together or plan.num_samples
  if plan.num_samples % size:
    raise InputError(
      f"{plan.num_samples} samples, {size} together: expected a multiple"
    )
  return plan.num_samples // size


def _requests(problem: Problem, plan: Plan) -> list[generate.Request]:
  """The requests for a problem, for as many samples each."""
  whole, num_parts = _request(problem, plan), _num_parts(plan)
  if num_parts == 1:
    return [whole]
  size = len(whole.seeds) // num_parts
  cut = lambda column, i: column and column[i * size : (i + 1) * size]
  return [
    dataclasses.replace(
      whole,
      seeds=cut(whole.seeds, i),
      guided_steps=cut(whole.guided_steps, i),
    )
    for i in range(num_parts)
  ]


def _joined(parts: Sequence[Answer]) -> Answer:
  """All samples of one problem, from the answers to its requests."""
  first, *others = parts
  if not others:
    return first
  seeds = [seed for part in parts for seed in part.request.seeds]
  return Answer(
    dataclasses.replace(first.request, seeds=seeds),
    [c for part in parts for c in part.completions],
    np.concatenate([part.first_labels for part in parts]),
  )


def _request(problem: Problem, plan: Plan) -> generate.Request:
  """What a problem asks for; its seeds name the question and the sample."""
  seeds = [
    seeds_lib.stable_seed(plan.seed, problem.id, i)
    for i in range(plan.num_samples)
  ]
  steps = None
  if plan.rule == "algorithm1":
    steps = switch.draw_before(seeds, horizon=plan.horizon).tolist()
  eta = float("inf") if plan.eta is None else plan.eta
  return generate.Request(problem.prompt, seeds, eta, steps, id=problem.id)


def _complete(
  sampler: Sampler, requests: Sequence[generate.Request], plan: Plan
) -> Iterator[Answer]:
  """Completions of all requests, in their order."""
  run = sampler.complete
  if plan.rule == "response":
    # The same seeds give the same guided response again, up to the switch.
    groups = _watched(run(requests))
    lengths = [[len(c.tokens) for c in group] for group in groups]
    requests = [_cut(r, own) for r, own in zip(requests, lengths, strict=True)]
  yield from _labelled(requests, _watched(run(requests)), plan.rule)


def _watched(
  groups: Iterator[list[generate.Completion]],
) -> Iterator[list[generate.Completion]]:
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


def _cut(request: generate.Request, lengths: Sequence[int]) -> generate.Request:
  """The same request with a switch inside each guided response."""
  steps = switch.draw_within(request.seeds, lengths).tolist()
  return dataclasses.replace(request, guided_steps=steps)
