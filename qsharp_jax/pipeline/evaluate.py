"""All methods over the grid of eta, on the same questions, in one report."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from qsharp_jax import generate, rollout
from qsharp_jax.core import files
from qsharp_jax.evaluation import plots, report
from qsharp_jax.pipeline import algorithm1, held_out


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """What to compare."""

  methods: Mapping[str, generate.Guidance]  # name in the report -> guidance
  etas: Sequence[float]  # KL weights in reward units
  num_samples: int = 8
  seed: int = 0


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
  run: algorithm1.Run, what: Evaluation, *, experiment: str, variant: str
) -> dict:
  """Samples every method, picks etas on validation, writes the report.

  The eta of each method is the one with the best pass@1 on the validation
  questions, the larger eta (the smaller KL) among equals; the test questions
  are then only reported.

  Returns:
    The content of report.json.
  """
  last = run.rounds.num_rounds
  grid = [Job(m, eta, last) for m in what.methods for eta in what.etas]
  earlier = [
    Job(m, run.rounds.eta, i) for m in what.methods for i in range(1, last)
  ]
  reference = Job("reference", None, 0)
  selected = _select(run, what, grid)
  samples = {
    job: _sample(run, what, job, "test") for job in [reference, *earlier, *grid]
  }
  base = float(np.mean(samples[reference].correct))
  rows = [
    report.summarise(
      found,
      method=job.method,
      eta=job.eta,
      round_index=job.round_index,
      reference_pass_at_1=base,
      selected=job in selected,
    )
    for job, found in samples.items()
  ]
  seconds = run.workdir.seconds()
  content = {
    "experiment": experiment,
    "variant": variant,
    "rows": rows,
    "seconds": seconds | {"total": sum(seconds.values())},
    "versions": report.versions(),
  }
  report.write(content, run.workdir.path)
  plots.pareto(rows, run.workdir.path / "pareto.png")
  return content


def _select(
  run: algorithm1.Run, what: Evaluation, grid: Sequence[Job]
) -> set[Job]:
  """The best job of each method on the validation questions."""
  scores = {
    job: float(np.mean(_sample(run, what, job, "validation").correct))
    for job in grid
  }
  best = lambda method: max(
    (job for job in grid if job.method == method),
    key=lambda job: (scores[job], job.eta),
  )
  return {best(method) for method in what.methods}


def _sample(
  run: algorithm1.Run, what: Evaluation, job: Job, split: str
) -> report.Samples:
  """Samples of one job on the questions of a split, from disk if done."""
  store = run.workdir.path / "evaluation" / split / job.name
  problems = getattr(run.task, split)
  stage = f"evaluate_{split}_{job.name}"
  with algorithm1.sampling_stage(run, stage, problems, store) as is_due:
    if is_due:
      values, guidance = None, None
      if job.eta is not None:
        values = algorithm1.load_values(run, job.round_index)
        guidance = what.methods[job.method]
      plan = rollout.Plan(what.num_samples, what.seed, job.eta)
      algorithm1.sample_all(
        run,
        run.sampler(values, guidance),
        problems,
        plan,
        store,
      )
      if split == "test":
        _judge(run, store)
  scores = store / "values.json"
  return _samples(
    list(rollout.store.read(store)),
    json.loads(scores.read_text()) if scores.exists() else None,
  )


def _judge(run: algorithm1.Run, store: pathlib.Path) -> None:
  """Writes the last round's value of every whole response beside them.

  They serve as a reward model: for best-of-n and the weighted majority.
  """
  values = held_out.final_values(
    run.players.critic,
    algorithm1.load_values(run, run.rounds.num_rounds),
    [[*r.prompt, *r.tokens] for r in rollout.store.read(store)],
    length=run.fit.max_length,
    batch_size=run.fit.batch_size,
    layout=run.layout,
  )
  files.replace(store / "values.json", json.dumps(values.tolist()))


def _samples(
  rollouts: Sequence[rollout.Rollout], values: list[float] | None
) -> report.Samples:
  """Rollouts as the columns that the report is made of."""
  column = lambda name: np.array([getattr(r, name) for r in rollouts])
  lengths = np.array([len(r.tokens) for r in rollouts])
  # The median over rows leaves out the batch that waited for the compiler.
  speed = np.median(lengths.mean() / column("seconds"))
  return report.Samples(
    question_ids=[r.question_id for r in rollouts],
    correct=column("correct"),
    extracted=[r.extracted for r in rollouts],
    kl=column("kl"),
    kl_filtered=column("kl_filtered"),
    length=lengths,
    truncated=~column("ended"),
    seconds=float(lengths.sum() / speed),
    value=None if values is None else np.array(values),
  )
