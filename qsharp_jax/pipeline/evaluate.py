"""All methods over the grid of eta, on the same questions, in one report."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from qsharp_jax import rollout
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
from qsharp_jax.evaluation.samples import Samples
from qsharp_jax.pipeline import (
  answers,
  curves,
  jobs,
  tokens,
  verifying,
)
from qsharp_jax.pipeline import run as run_lib
from qsharp_jax.pipeline import samples as samples_lib
from qsharp_jax.sharding import processes


def evaluate(
  run: run_lib.Run, what: jobs.Evaluation, *, experiment: str, variant: str
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


def _tested(
  run: run_lib.Run, what: jobs.Evaluation
) -> Iterator[tuple[summary.Row, Samples]]:
  """The reference, what earlier rounds' values do, and every method."""
  last = [jobs.with_stored_etas(run, job) for job in jobs.last_round(run, what)]
  selected = {job.method: _best_eta(run, what, job) for job in last}
  reference_rewards = reference = None
  for job in jobs.on_test(run, what, last):
    for eta, found in jobs.sample(run, what, job, "test").items():
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
  run: run_lib.Run, what: jobs.Evaluation, rows: Sequence[summary.Row]
) -> Iterator[answers.Policy]:
  """The reference and the chosen rows, with their answers."""
  for row in rows:
    if row.method != "reference" and not row.selected:
      continue
    job = jobs.Job(row.method, row.round_index)
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


def _front(reference: Samples) -> optimum.Band:
  """The greatest mean reward at every KL, by the reference's own samples."""
  rewards = reference.by_question(reference.reward)
  # From hardly tilted to the best sample alone, in units of the rewards.
  scale = float(rewards.std()) or 1.0
  etas = scale * np.geomspace(50.0, 0.02, 80)
  return optimum.band(optimum.front(rewards, etas.tolist()))


def _best_eta(
  run: run_lib.Run, what: jobs.Evaluation, job: jobs.Job
) -> float | None:
  """The best eta of a method on the validation questions."""
  if len(job.etas) == 1:
    return job.etas[0]
  found = jobs.sample(run, what, job, "validation")
  objective = {
    eta: float(samples_lib.rewards_of(run, rollouts).mean())
    - _price(what, rollouts)
    for eta, rollouts in found.items()
  }
  return max(job.etas, key=lambda eta: (objective[eta], eta))


def _price(what: jobs.Evaluation, found: rollout.Rollouts) -> float:
  """Of the KL, from the samples that have one; only asked where it counts."""
  if not what.objective_eta:
    return 0.0
  return what.objective_eta * float(np.nanmean(found.kl))


def _extra(
  what: jobs.Evaluation,
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
