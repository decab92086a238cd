"""What an evaluation samples: a method at all of its etas, as one stream."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from qsharp_jax import rollout
from qsharp_jax.core import places
from qsharp_jax.pipeline import (
  algorithm1,
  bindings,
  searches,
)
from qsharp_jax.pipeline import methods as methods_lib
from qsharp_jax.pipeline import run as run_lib
from qsharp_jax.sharding import processes

ColumnsFn = Callable[[Sequence[str | None], Sequence[str]], dict[str, Any]]
"""(extracted answers, gold answers) -> columns that only this task has."""


CompareFn = Callable[
  [rollout.Rollouts, rollout.Rollouts | None], dict[str, Any]
]
"""(samples with texts, the reference's; None: these are) -> more columns."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """What to compare."""

  methods: Mapping[str, methods_lib.Method]  # name in the report -> method
  num_samples: int = 8
  seed: int = 0
  columns: ColumnsFn | None = None  # the task's own
  num_reference_samples: int = 64  # of the reference: for optimum and front
  objective_eta: float = 0.0  # a method's eta is chosen by the objective at it
  compare: CompareFn | None = None  # reads texts
  # Where candidates may be left unscored: one of so many samples of a question
  # is scored whole, and the KL is estimated from those.
  kl_every: int = 1


@dataclasses.dataclass(frozen=True)
class Job:
  """What is sampled as one stream: a method, at all of its etas."""

  method: str
  round_index: int = 0  # of the values; 0: of none
  etas: tuple[float | None, ...] = (None,)

  def name(self, eta: float | None) -> str:
    """Name of one eta's samples, for files."""
    if eta is None:
      return self.method
    return f"{self.method}-eta{eta:g}-round{self.round_index}"

  def stage(self, split: str, eta: float | None) -> str:
    """Name of the stage that makes them."""
    return f"evaluate_{split}_{self.name(eta)}"


def listed(run: run_lib.Run, what: Evaluation) -> Iterator[tuple[str, Job]]:
  """All that is sampled, and of which split, but for etas of earlier calls."""
  last = last_round(run, what)
  yield from (("validation", job) for job in last if len(job.etas) > 1)
  yield from (("test", job) for job in on_test(run, what, last))


def method_of(
  run: run_lib.Run, what: Evaluation, job: Job
) -> tuple[methods_lib.Method, int, int]:
  """Who samples, how often for each question, and how many of these at once."""
  if job.method in what.methods:
    method = what.methods[job.method]
    number = method.num_samples or what.num_samples
    return method, number, number
  together = what.num_samples
  number = -(-what.num_reference_samples // together) * together
  return methods_lib.reference(run), number, together


def plan_of(
  run: run_lib.Run, what: Evaluation, job: Job, split: str
) -> tuple[methods_lib.Method, rollout.Plan]:
  """Who samples, and what of each question; the eta is left open."""
  method, num_samples, together = method_of(run, what, job)
  return method, rollout.Plan(
    num_samples,
    what.seed,
    num_together=together,
    kl_every=kl_every(what, method, split),
  )


def kl_every(what: Evaluation, method: methods_lib.Method, split: str) -> int:
  """One of so many samples of a question needs a KL; 0: none does.

  On validation the KL is asked for only where the objective chooses the eta.
  """
  if not method.is_lazy:
    return 1
  is_asked = split != "validation" or what.objective_eta
  return what.kl_every if is_asked else 0


def on_test(
  run: run_lib.Run, what: Evaluation, last: Sequence[Job]
) -> list[Job]:
  """All that is sampled of the test split; `last` with the last values."""
  return [Job("reference"), *_earlier_rounds(run, what), *last]


def last_round(run: run_lib.Run, what: Evaluation) -> list[Job]:
  """Every method, with the values of the last round, at each of its etas."""
  num_rounds = run.rounds.num_rounds
  return [
    Job(name, num_rounds if method.has_rounds else 0, tuple(method.etas))
    for name, method in what.methods.items()
  ]


def _earlier_rounds(run: run_lib.Run, what: Evaluation) -> list[Job]:
  return [
    Job(name, i, (run.rounds.eta,))
    for name, method in what.methods.items()
    for i in range(1, run.rounds.num_rounds)
    if method.has_rounds
  ]


def with_stored_etas(run: run_lib.Run, job: Job) -> Job:
  """The job with the etas, too, that an earlier call has sampled."""
  if job.etas == (None,):
    return job
  asked = {job.name(eta) for eta in job.etas}
  before, after = f"{job.method}-eta", f"-round{job.round_index}"
  folder = run.paths.samples("test", job.name(None)).parent
  stored = [
    float(path.name.removeprefix(before).removesuffix(after))
    for path in folder.glob(f"{before}*{after}")
    if path.name not in asked and bindings.is_complete(run, path, run.task.test)
  ]
  stored = processes.agree(f"etas of {job.method}", sorted(stored))
  return dataclasses.replace(job, etas=(*job.etas, *stored))


def sample(
  run: run_lib.Run, what: Evaluation, job: Job, split: str
) -> dict[float | None, rollout.Rollouts]:
  """Samples of one job on the questions of a split, by eta; kept on disk."""
  problems = getattr(run.task, split)
  method, plan = plan_of(run, what, job, split)
  stages = {
    job.stage(split, eta): (
      run.paths.samples(split, job.name(eta)),
      dataclasses.replace(plan, eta=eta),
    )
    for eta in job.etas
  }
  made_from = method.made_from(run, job.round_index)
  bound = [
    bindings.evaluate(run, name, problems, store, made_from, plan)
    for name, (store, plan) in stages.items()
  ]
  with run.workdir.stages(bound) as due:
    if due:
      plans = dict(stages[name] for name in due)
      sampler = method.sampler(job.round_index)
      algorithm1.sample_each(run, sampler, problems, plans)
  run.follow_reward([store for store, _ in stages.values()])
  if split == "test":
    _judge(run, {name: store for name, (store, _) in stages.items()})
  with_text = what.compare is not None and split == "test"
  return {
    plan.eta: rollout.store.read(store, with_text=with_text)
    for store, plan in stages.values()
  }


def _judge(run: run_lib.Run, stores: Mapping[str, places.Path]) -> None:
  """Keeps the last round's value of every whole response beside it.

  They serve as a reward model: for best-of-n and the weighted majority. Other
  values judge the samples of a finished run again.
  """

  def judge(found: rollout.Rollouts) -> np.ndarray:
    both = zip(found.prompt, found.tokens, strict=True)
    return searches.judge(run)([np.concatenate(pair) for pair in both])

  bound = {
    f"judge_{name}": (bindings.judge(run, f"judge_{name}", store), store)
    for name, store in stores.items()
  }
  with run.workdir.stages([stage for stage, _ in bound.values()]) as due:
    for name in due:
      rollout.store.with_values(bound[name][1], judge)
