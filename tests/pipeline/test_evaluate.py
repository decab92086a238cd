"""The report's rows and the choice of eta, from samples written by hand."""

import json
import types

import numpy as np
import pytest
from oracles import rollouts as make

from qsharp_jax import pipeline
from qsharp_jax.pipeline import evaluate
from qsharp_jax.rollout import store

ETAS = (0.1, 0.5, 0.2)


@pytest.fixture
def run(tmp_path):
  """Rounds and a directory: no models, since nothing is left to sample."""
  return types.SimpleNamespace(
    task=types.SimpleNamespace(validation=range(2), test=range(2)),
    sampling=types.SimpleNamespace(batch_size=2),
    rounds=pipeline.Rounds(num_rounds=2, eta=0.1),
    workdir=pipeline.Workdir(tmp_path / "run", {}),
    directory=lambda index: tmp_path / "run" / f"round_{index}",
  )


def sampled(run, split, name, num_right, *, kl=0.0, length=4):
  """Eight samples of each of two questions; the first ones are right."""
  rollouts = [
    make.rollout(
      f"{split}-{q}",
      s,
      label=float(8 * q + s < num_right),
      tokens=[3] * length,
      kl=kl,
      kl_filtered=kl / 2,
      ended=s > 0,
      extracted=str(s % 2),
    )
    for q in range(2)
    for s in range(8)
  ]
  with run.workdir.stage(f"evaluate_{split}_{name}"):
    store.write_shard(
      run.workdir.path / "evaluation" / split / name, 0, rollouts
    )


def grid(run, validation, test):
  """All that `evaluate` reads; keys are (method, eta), values right samples."""
  for (method, eta), num_right in validation.items():
    sampled(run, "validation", f"{method}-eta{eta:g}-round2", num_right)
  for (method, eta), num_right in test.items():
    sampled(run, "test", f"{method}-eta{eta:g}-round2", num_right, kl=1.5)
    if eta == 0.1:
      sampled(run, "test", f"{method}-eta{eta:g}-round1", 3)
  sampled(run, "test", "reference", 4)


def evaluated(run, methods=("qsharp",)):
  idle = pipeline.Method(None, ETAS, has_rounds=True)
  what = pipeline.Evaluation(dict.fromkeys(methods, idle))
  return evaluate.evaluate(run, what, experiment="e", variant="v")


def test_chooses_the_best_eta_on_validation_not_on_test(run):
  grid(
    run,
    {("qsharp", 0.1): 3, ("qsharp", 0.5): 2, ("qsharp", 0.2): 9},
    {("qsharp", 0.1): 16, ("qsharp", 0.5): 16, ("qsharp", 0.2): 0},
  )
  rows = evaluated(run)["rows"]
  assert [r.eta for r in rows if r.selected] == [0.2]


def test_chooses_the_larger_eta_among_equals(run):
  grid(
    run,
    {("qsharp", 0.1): 7, ("qsharp", 0.5): 7, ("qsharp", 0.2): 7},
    {("qsharp", 0.1): 1, ("qsharp", 0.5): 1, ("qsharp", 0.2): 1},
  )
  rows = evaluated(run)["rows"]
  assert [(r.eta, r.round_index) for r in rows if r.selected] == [(0.5, 2)]


def test_chooses_for_each_method_by_itself(run):
  right = {("qsharp", eta): int(eta == 0.1) for eta in ETAS}
  right |= {("cd", eta): 5 + int(eta == 0.5) for eta in ETAS}
  grid(run, right, right)
  rows = evaluated(run, ("qsharp", "cd"))["rows"]
  chosen = {(r.method, r.eta) for r in rows if r.selected}
  assert chosen == {("qsharp", 0.1), ("cd", 0.5)}


def test_rows_are_the_reference_earlier_rounds_and_the_grid(run):
  right = {("qsharp", eta): 6 for eta in ETAS}
  grid(run, right, right)
  content = evaluated(run)
  kinds = [(r.method, r.eta, r.round_index) for r in content["rows"]]
  assert kinds == [
    ("reference", None, 0),
    ("qsharp", 0.1, 1),
    ("qsharp", 0.1, 2),
    ("qsharp", 0.5, 2),
    ("qsharp", 0.2, 2),
  ]
  reference, _, row, *_ = content["rows"]
  assert reference.pass_at_1 == 4 / 16 and row.pass_at_1 == 6 / 16
  assert (row.num_questions, row.num_samples) == (2, 8)
  assert (row.kl, row.kl_filtered) == (1.5, 0.75)
  assert (row.mean_length, row.truncated_share) == (4.0, 1 / 8)
  p, q = 6 / 16, 4 / 16
  floor = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
  np.testing.assert_allclose(row.kl_floor, floor, rtol=1e-6)
  # 4 tokens in half a second, whatever the sample.
  np.testing.assert_allclose(row.tokens_per_second, 8.0)


def test_writes_the_report_and_its_picture(run):
  right = {("qsharp", eta): 6 for eta in ETAS}
  grid(run, right, right)
  content = evaluated(run)
  written = json.loads((run.workdir.path / "report.json").read_text())
  assert (written["experiment"], written["variant"]) == ("e", "v")
  seconds = dict(written["seconds"])
  total = seconds.pop("total")
  assert seconds.keys() == run.workdir.seconds().keys()
  np.testing.assert_allclose(total, sum(seconds.values()))
  assert len(written["rows"]) == len(content["rows"])
  assert "qsharp" in (run.workdir.path / "report.md").read_text()
  picture = (run.workdir.path / "pareto.png").read_bytes()
  assert picture.startswith(b"\x89PNG")
