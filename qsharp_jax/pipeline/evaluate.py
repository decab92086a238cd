"""All methods over the grid of eta, on the same questions, in one report."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from qsharp_jax import rollout
from qsharp_jax.core import files
from qsharp_jax.evaluation import matching, plots, report
from qsharp_jax.pipeline import algorithm1
from qsharp_jax.pipeline import methods as methods_lib
from qsharp_jax.pipeline import run as run_lib
from qsharp_jax.sharding import processes

ColumnsFn = Callable[[Sequence[str], Sequence[str]], dict[str, Any]]
"""(completions, their gold answers) -> columns that only this task has."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """What to compare."""

  methods: Mapping[str, methods_lib.Method]  # name in the report -> method
  num_samples: int = 8
  seed: int = 0
  columns: ColumnsFn | None = None  # the task's own


@dataclasses.dataclass(frozen=True)
class Job:
  """One row of the report."""

  method: str
  eta: float | None
  round_index: int

  @property
  def name(self) -> str:
    """A name for files."""
    if self.eta is None:
      return self.method
    return f"{self.method}-eta{self.eta:g}-round{self.round_index}"


def evaluate(
  run: run_lib.Run, what: Evaluation, *, experiment: str, variant: str
) -> dict:
  """Samples every method, picks etas on validation, writes the report.

  The eta of each method that has several is the one with the best pass@1 on
  the validation questions, the larger eta (the smaller KL) among equals; the
  test questions are then only reported.

  Returns:
    The content of report.json.
  """
  reference = Job("reference", None, 0)
  grid = _grid(run, what)
  selected = _select(run, what, grid)
  jobs = [reference, *_earlier_rounds(run, what), *grid]
  rollouts = {job: _sample(run, what, job, "test") for job in jobs}
  base = float(np.mean([r.correct for r in rollouts[reference]]))
  rows = [
    report.summarise(
      _samples(found, _values(run, job)),
      method=job.method,
      eta=job.eta,
      round_index=job.round_index,
      reference_pass_at_1=base,
      selected=job in selected,
      extra=_extra(run, what, found),
    )
    for job, found in rollouts.items()
  ]
  seconds = run.workdir.seconds()
  content = {
    "experiment": experiment,
    "variant": variant,
    "rows": rows,
    "matched": matching.at_equal_kl([row.to_dict() for row in rows]),
    "values": _value_metrics(run),
    "seconds": seconds | {"total": sum(seconds.values())},
    "versions": report.versions(),
  }
  if processes.is_main():
    report.write(content, run.workdir.path)
    plots.pareto(rows, run.workdir.path / "pareto.png")
  return content


def _grid(run: run_lib.Run, what: Evaluation) -> list[Job]:
  """Every method, with the values of the last round, at each of its etas."""
  return [
    Job(name, eta, run.rounds.num_rounds if method.has_rounds else 0)
    for name, method in what.methods.items()
    for eta in method.etas
  ]


def _earlier_rounds(run: run_lib.Run, what: Evaluation) -> list[Job]:
  return [
    Job(name, run.rounds.eta, i)
    for name, method in what.methods.items()
    for i in range(1, run.rounds.num_rounds)
    if method.has_rounds
  ]


def _select(
  run: run_lib.Run, what: Evaluation, grid: Sequence[Job]
) -> set[Job]:
  """The best job of each method on the validation questions."""

  def score(job: Job) -> tuple[float, float]:
    rollouts = _sample(run, what, job, "validation")
    return float(np.mean([r.correct for r in rollouts])), job.eta

  chosen = set()
  for method in what.methods:
    own = [job for job in grid if job.method == method]
    chosen.add(own[0] if len(own) == 1 else max(own, key=score))
  return chosen


def _sample(
  run: run_lib.Run, what: Evaluation, job: Job, split: str
) -> list[rollout.Rollout]:
  """Samples of one job on the questions of a split, from disk if done."""
  store = run.workdir.path / "evaluation" / split / job.name
  problems = getattr(run.task, split)
  stage = f"evaluate_{split}_{job.name}"
  method = methods_lib.reference(run)
  if job.method != "reference":
    method = what.methods[job.method]
  method.prepare()
  with algorithm1.sampling_stage(run, stage, problems, store) as is_due:
    if is_due:
      num_samples = method.num_samples or what.num_samples
      plan = rollout.Plan(num_samples, what.seed, job.eta)
      sampler = method.sampler(job.round_index)
      algorithm1.sample_all(run, sampler, problems, plan, store)
      if split == "test":
        _judge(run, store)
  return list(rollout.store.read(store))


def _values(run: run_lib.Run, job: Job) -> np.ndarray | None:
  """What the last round's value model says of the test answers."""
  file = run.workdir.path / "evaluation" / "test" / job.name / "values.json"
  return np.array(json.loads(file.read_text())) if file.exists() else None


def _judge(run: run_lib.Run, store: pathlib.Path) -> None:
  """Writes the last round's value of every whole response beside them.

  They serve as a reward model: for best-of-n and the weighted majority.
  """
  values = methods_lib.judge(run)(
    [[*r.prompt, *r.tokens] for r in rollout.store.read(store)]
  )
  if processes.is_main():
    files.replace(store / "values.json", json.dumps(values.tolist()))


def _extra(
  run: run_lib.Run, what: Evaluation, rollouts: Sequence[rollout.Rollout]
) -> dict:
  """Columns on what it cost and what failed, and the task's own."""
  extra = {
    "forwards": float(np.mean([r.forwards for r in rollouts])),
    "seconds": float(np.sum([r.seconds for r in rollouts])),
    "failed_rewards": sum(r.error is not None for r in rollouts),
  }
  if what.columns is not None:
    gold = {p.id: p.answer for p in run.task.test}
    extra |= what.columns(
      [r.text for r in rollouts], [gold[r.question_id] for r in rollouts]
    )
  return extra


def _value_metrics(run: run_lib.Run) -> dict[str, dict]:
  """What each round's values are worth on what training did not see."""
  found = {}
  for i in range(1, run.rounds.num_rounds + 1):
    file = run.directory(i) / "value_metrics.json"
    if file.exists():
      found[f"round {i}"] = json.loads(file.read_text())
  return found


def _samples(
  rollouts: Sequence[rollout.Rollout], values: np.ndarray | None
) -> report.Samples:
  """Rollouts as the columns that the report is made of."""
  column = lambda name: np.array([getattr(r, name) for r in rollouts])
  lengths = np.array([len(r.tokens) for r in rollouts])
  return report.Samples(
    question_ids=[r.question_id for r in rollouts],
    correct=column("correct"),
    extracted=[r.extracted for r in rollouts],
    kl=column("kl"),
    kl_filtered=column("kl_filtered"),
    length=lengths,
    truncated=~column("ended"),
    seconds=float(column("seconds").sum()),
    value=values,
  )
