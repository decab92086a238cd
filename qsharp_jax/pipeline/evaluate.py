"""All methods over the grid of eta, on the same questions, in one report."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from qsharp_jax import rollout
from qsharp_jax.core import places
from qsharp_jax.evaluation import (
  calibration_plot,
  forwards,
  marks,
  matching,
  optimum,
  paired,
  plots,
  report,
  summary,
  two_rewards,
)
from qsharp_jax.pipeline import (
  algorithm1,
  answers,
  bindings,
  curves,
  searches,
  tokens,
  verifying,
)
from qsharp_jax.pipeline import methods as methods_lib
from qsharp_jax.pipeline import run as run_lib
from qsharp_jax.pipeline import samples as samples_lib
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


def evaluate(
  run: run_lib.Run, what: Evaluation, *, experiment: str, variant: str
) -> dict:
  """Samples every method, picks etas on validation, writes the report.

  The eta of each method that has several is the one with the best objective at
  `objective_eta` (at 0: the best reward) on the validation questions, the
  larger eta (the smaller KL) among equals; the test questions are then only
  reported.

  Returns:
    The content of report.json.
  """
  for method in what.methods.values():
    method.prepare()  # before values are held that training has no room for
  tested = list(_tested(run, what))
  rows = [row for row, _ in tested]
  front = _front(tested[0][1])
  policies = list(_policies(run, what, rows))
  verified = verifying.of_run(run, policies)
  shown = _shown(run, policies)
  seconds = run.workdir.seconds()
  content = {
    "experiment": experiment,
    "variant": variant,
    "rows": rows,
    "objective_eta": what.objective_eta,
    "front": front._asdict(),
    "matched": matching.at_equal_kl([row.to_dict() for row in rows]),
    "at_equal_forwards": forwards.at_equal_forwards(
      [row.to_dict() for row in rows],
      [samples.by_question(samples.reward) for _, samples in tested],
    ),
    "paired": paired.against_qsharp(
      [
        paired.Objectives.of(row, samples)
        for row, samples in tested
        if row.eta is not None
      ]
    ),
    "values": _value_metrics(run),
    "failed_rewards": samples_lib.failed_rewards(run),
    "verified": verified,
    "seconds": seconds | {"total": sum(seconds.values())},
    "versions": report.versions(),
  }
  if processes.is_main():
    report.write(content, run.workdir.path, shown)
    plots.pareto(rows, run.workdir.path / "pareto.png", front=front)
    if what.compare is not None:
      drawn = [row.to_dict() for row in rows]
      two_rewards.draw(drawn, run.workdir.path / "front.png")
    last = content["values"].get(f"round {run.rounds.num_rounds}", {})
    calibration_plot.draw(
      last.get("held_out_questions", {}), run.workdir.path / "calibration.png"
    )
  return content


def jobs(run: run_lib.Run, what: Evaluation) -> Iterator[tuple[str, Job]]:
  """All that is sampled, and of which split, but for etas of earlier calls."""
  last = _last_round(run, what)
  yield from (("validation", job) for job in last if len(job.etas) > 1)
  yield from (("test", job) for job in _on_test(run, what, last))


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


def _tested(
  run: run_lib.Run, what: Evaluation
) -> Iterator[tuple[summary.Row, summary.Samples]]:
  """The reference, what earlier rounds' values do, and every method."""
  last = [_with_stored_etas(run, job) for job in _last_round(run, what)]
  selected = {job.method: _best_eta(run, what, job) for job in last}
  reference_rewards = reference = None
  for job in _on_test(run, what, last):
    for eta, found in _sample(run, what, job, "test").items():
      samples = samples_lib.samples(run, found)
      row = summary.summarise(
        samples,
        method=job.method,
        eta=eta,
        round_index=job.round_index,
        reference_rewards=reference_rewards,
        selected=job in last and eta == selected[job.method],
        extra=_extra(what, found, reference),
        best_of=what.num_samples,
      )
      if job.method == "reference":
        reference_rewards = samples.by_question(samples.reward)
        reference = found
      yield row, samples


def _policies(
  run: run_lib.Run, what: Evaluation, rows: Sequence[summary.Row]
) -> Iterator[answers.Policy]:
  """The reference and the chosen rows, with their answers."""
  for row in rows:
    if row.method != "reference" and not row.selected:
      continue
    job = Job(row.method, row.round_index)
    store = run.paths.samples("test", job.name(row.eta))
    found = rollout.store.read(store)
    method = what.methods.get(row.method)
    eta = "" if row.eta is None else f", eta {row.eta:g}"
    yield answers.Policy(
      label=marks.name(row.method) + eta,
      method=row.method,
      eta=row.eta,
      stage=job.stage("test", row.eta),
      found=found,
      rewards=samples_lib.rewards_of(run, found),
      guidance=method.guidance if method and method.has_rounds else None,
    )


def _shown(
  run: run_lib.Run, policies: Sequence[answers.Policy]
) -> dict[str, Any]:
  """What only the page shows: answers, some token by token, and curves."""
  followed = tokens.of_run(run, policies)
  return {
    "answers": answers.side_by_side(policies),
    "curves": curves.of_run(run),
  } | ({} if followed is None else {"tokens": followed})


def _front(reference: summary.Samples) -> optimum.Band:
  """The greatest mean reward at every KL, by the reference's own samples."""
  rewards = reference.by_question(reference.reward)
  # From hardly tilted to the best sample alone, in units of the rewards.
  scale = float(rewards.std()) or 1.0
  etas = scale * np.geomspace(50.0, 0.02, 80)
  return optimum.band(optimum.front(rewards, etas.tolist()))


def _on_test(
  run: run_lib.Run, what: Evaluation, last: Sequence[Job]
) -> list[Job]:
  """All that is sampled of the test split; `last` with the last values."""
  return [Job("reference"), *_earlier_rounds(run, what), *last]


def _last_round(run: run_lib.Run, what: Evaluation) -> list[Job]:
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


def _with_stored_etas(run: run_lib.Run, job: Job) -> Job:
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


def _best_eta(run: run_lib.Run, what: Evaluation, job: Job) -> float | None:
  """The best eta of a method on the validation questions."""
  if len(job.etas) == 1:
    return job.etas[0]
  found = _sample(run, what, job, "validation")
  objective = {
    eta: float(samples_lib.rewards_of(run, rollouts).mean())
    - what.objective_eta * float(rollouts.kl.mean())
    for eta, rollouts in found.items()
  }
  return max(job.etas, key=lambda eta: (objective[eta], eta))


def _sample(
  run: run_lib.Run, what: Evaluation, job: Job, split: str
) -> dict[float | None, rollout.Rollouts]:
  """Samples of one job on the questions of a split, by eta; kept on disk."""
  problems = getattr(run.task, split)
  method, num_samples, together = method_of(run, what, job)
  stages = {
    job.stage(split, eta): (
      run.paths.samples(split, job.name(eta)),
      rollout.Plan(num_samples, what.seed, eta, num_together=together),
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


def _extra(
  what: Evaluation,
  found: rollout.Rollouts,
  reference: rollout.Rollouts | None,
) -> dict[str, Any]:
  """Columns on what it cost, what failed, and those of the task."""
  extra = {
    "forwards": float(np.mean(found.forwards)),
    "seconds": float(np.sum(found.seconds)),
    "failed_rewards": int((~found.is_graded).sum()),
  }
  if what.columns is not None:
    extra |= what.columns(list(found.extracted), list(found.answer))
  if what.compare is not None:
    extra |= what.compare(found, reference)
  return extra


def _value_metrics(run: run_lib.Run) -> dict[str, dict]:
  """What each round's values are worth on what training did not see."""
  found = {}
  for i in range(1, run.rounds.num_rounds + 1):
    file = run.paths.value_metrics(i)
    if file.exists():
      found[f"round {i}"] = json.loads(file.read_text())
  return found
