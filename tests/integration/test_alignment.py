"""The alignment experiment in miniature: every stage, every method."""

import json

import numpy as np
import pytest

from experiments.configs import alignment
from experiments.harness import aligning, questions, run
from qsharp_jax.tasks import chat

CHANGES = {
  "chat.num_dialogues": 1500,
  "chat.num_preferences": 300,
  "data.num_train": 60,
  "data.num_validation": 8,
  "data.num_test": 8,
  "rounds.num_rounds": 1,
  "rounds.num_samples": 4,
  "evaluation.num_samples": 2,
  "evaluation.num_reference_samples": 4,
  "evaluation.etas": (0.1,),
  "search.best_of": 2,
  "search.transfer.other_num_rollouts": 2,
  "search.front.weights": ((1.0, 0.0), (0.5, 0.5), (0.0, 1.0)),
  "baselines.ppo.num_iterations": 2,
  "baselines.grpo.num_iterations": 2,
}
FRONT = ("front_1_0", "front_0.5_0.5", "front_0_1")


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  return tmp_path_factory.mktemp("alignment") / "run"


def report(workdir):
  config = alignment.get_config("tiny")
  config.mesh = (0, 1, 1)
  for name, value in CHANGES.items():
    *sections, field = name.split(".")
    section = config
    for part in sections:
      section = section[part]
    section[field] = value
  task = questions.dialogues(config)
  named = aligning.prepare(config, str(workdir), task)
  run.run(named, str(workdir), experiment="alignment", task=task)
  return json.loads((workdir / "report.json").read_text())


@pytest.mark.slow
def test_all_methods_in_one_report_and_the_same_command_again(workdir):
  found = report(workdir)
  rows = {row["method"]: row for row in found["rows"]}
  methods = [name for name in alignment.METHODS if name != "front"]
  assert rows.keys() == {"reference", *methods, *FRONT}
  for name, row in rows.items():
    for column in ("reward", "judge", "helpful", "harmless", "coherence"):
      assert np.isfinite(row[column]), (name, column)
    if name != "reference":
      assert row["win"] + row["tie"] + row["lose"] == pytest.approx(1)
  # With all weight on the run's own reward it is Q# by it.
  assert rows["front_1_0"]["reward"] == pytest.approx(rows["qsharp"]["reward"])
  entries = {entry["method"]: entry for entry in found["at_equal_forwards"]}
  assert entries["best_of_n"]["best_of_n"] is not None
  assert (workdir / "front.png").exists()
  # DPO learns where to end from what ends answers here.
  pairs = (workdir / "rewards" / "preferences.jsonl").read_text().splitlines()
  for pair in map(json.loads, pairs):
    assert pair["chosen"].endswith(chat.STOP)
    assert pair["rejected"].endswith(chat.STOP)
  again = report(workdir)
  assert [r["reward"] for r in again["rows"]] == [
    r["reward"] for r in found["rows"]
  ]
