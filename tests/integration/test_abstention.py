"""The abstention experiment in miniature."""

import json

import pytest
from oracles import commands

from qsharp_jax.rollout import store

FLAGS = {
  "graphs.num_pretrain": 2000,
  "pretrain.width": 16,
  "pretrain.num_layers": 1,
  "pretrain.num_heads": 2,
  "pretrain.learning_rate": 0.01,
  "pretrain.batch_size": 16,
  "pretrain.num_epochs": 2,
  "fit.num_frozen_layers": 1,
  "fit.batch_size": 16,
  "fit.num_epochs": 1,
  "data.num_train": 200,
  "data.num_validation": 20,
  "data.num_test": 50,
  "sampling.batch_size": 64,
  "sampling.prompts_per_refill": 64,
  "evaluation.etas": (0.1, 0.5),
  "evaluation.num_reference_samples": 16,
}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
  """What the command printed, and where it ran."""
  path = tmp_path_factory.mktemp("abstention") / "run"
  found = commands.finish(
    "experiments.abstention",
    f"--workdir={path}",
    *(f"--config.{name}={value}" for name, value in FLAGS.items()),
  )
  return found.stdout, path


def test_declining_pays_and_is_learnt_from(done):
  rollouts = list(store.read(done[1] / "round_1" / "rollouts"))
  labels = {rollout.label for rollout in rollouts}
  assert {0.0, 0.6} <= labels <= {0.0, 0.6, 1.0}  # so small, it hardly succeeds
  for rollout in rollouts:
    is_declined = "?" in rollout.text and "!" not in rollout.text
    assert (rollout.label == 0.6) == is_declined
    assert rollout.correct == (rollout.label == 1.0)
  value = json.loads((done[1] / "round_1/value/config.json").read_text())
  assert value["value_head"]["num_atoms"] == 11


def test_the_report_counts_who_declines(done):
  report = json.loads((done[1] / "report.json").read_text())
  assert (report["experiment"], report["variant"]) == ("abstention", "stars")
  for row in report["rows"]:
    assert 0 <= row["declined"] <= 1
    assert row["declined"] + row["pass@1"] <= 1 + 1e-9
  reference = report["rows"][0]
  assert abs(reference["declined"] - 0.4) < 0.2


def test_theory_stands_beside_every_guided_row(done):
  printed, path = done
  theory = (path / "theory.md").read_text()
  assert theory in printed
  lines = [line for line in theory.splitlines() if line.startswith("| ")]
  rows = [line.split(" | ")[:3] for line in lines[1:]]
  assert [row[:2] for row in rows] == [["| reference", "–"]] + [
    [f"| {method}", eta]
    for method in ("qsharp", "cd")
    for eta in ("0.1", "0.5")
  ]
  assert all(row[2].endswith(")") for row in rows)
  # Q# at eta 0.1 declines 2.4%, CD 64.4%.
  assert "(0.024)" in rows[1][2] and "(0.644)" in rows[3][2]
  # Values of a moment's training lose what attempts could earn.
  assert "Which values are to blame:" in theory
  assert "- qsharp at 0.1: the values of " in theory
