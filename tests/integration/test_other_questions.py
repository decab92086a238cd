"""Competition problems and long passages through the whole pipeline."""

import json
import os
import pathlib

import pytest
from oracles import commands, model_directories

from qsharp_jax.rollout import store

FLAGS = {
  "data.num_train": 8,
  "data.num_validation": 4,
  "data.num_test": 4,
  "sampling.batch_size": 4,
  "sampling.max_new_tokens": 6,
  "sampling.prompt_bucket": 512,
  "sampling.num_candidates": 8,
  "rounds.num_rounds": 1,
  "rounds.num_samples": 4,
  "fit.batch_size": 4,
  "fit.num_microbatches": 1,
  "fit.num_epochs": 1,
  "fit.max_length": 512,
  "evaluation.etas": (0.2,),
  "evaluation.methods": ("qsharp",),
  "evaluation.num_samples": 1,
  "evaluation.num_reference_samples": 4,
  "reward_max_failed_share": 1.0,
}


def run(experiment, path, source, reward="length_reward:even"):
  """The report and the rollouts of one command, and what it logged."""
  flags = FLAGS | {"reference": path / "model", "data.source": source}
  flags["reward"] = reward
  done = commands.finish(
    f"experiments.{experiment}",
    f"--config=experiments/configs/{experiment}.py:local",
    f"--workdir={path / 'run'}",
    *(f"--config.{name}={value}" for name, value in flags.items()),
    env=commands.environment(pathlib.Path(__file__).parent),
  )
  report = json.loads((path / "run" / "report.json").read_text())
  rollouts = list(store.read(path / "run" / "round_1" / "rollouts"))
  return report, rollouts, done.stderr


def write(path, split, rows):
  text = "\n".join(json.dumps(row) for row in rows)
  (path / f"{split}.jsonl").write_text(text)


def test_math_problems_are_sampled_and_compared(tmp_path):
  source = os.environ.get("QSHARP_DATA_DIR")
  if not source:
    pytest.skip("QSHARP_DATA_DIR is not set: no MATH-500 file")
  lines = pathlib.Path(source, "math500", "test.jsonl").read_text().splitlines()
  rows = [json.loads(line) for line in lines]
  short = [row for row in rows if len(row["problem"]) < 200][:40]
  # As MATH itself has them: the answer is only in the solution's box.
  bare = [{k: row[k] for k in ("problem", "solution")} for row in short]
  write(tmp_path, "test", short[:8])
  write(tmp_path, "train", bare[8:])
  texts = [row["problem"] + row["solution"] for row in short]
  model_directories.qwen2(tmp_path / "model", context=512, texts=texts)
  report, rollouts, _ = run(
    "competition_math",
    tmp_path,
    f"math:jsonl:{tmp_path}",
    reward="length_reward:parity",
  )
  assert report["experiment"] == "competition_math"
  assert [row["method"] for row in report["rows"]] == ["reference", "qsharp"]
  assert len(rollouts) >= 4 * 8
  # Numbers without verdicts, read from whole batches and their questions.
  assert {r.label for r in rollouts} == {0.37, -2.5}
  assert {r.correct for r in rollouts} == {None}
  for rollout in rollouts:
    _, _, index = rollout.question_id.rpartition("-")
    question = bare[8:][int(index) - 1]["problem"]
    is_even = (len(rollout.text) - len(question)) % 2 == 0
    assert rollout.label == (0.37 if is_even else -2.5)
  for row in report["rows"]:
    low, high = row["reward_ci95"]
    assert -2.5 <= low <= row["reward"] <= high <= 0.37
    assert "pass@1" not in row
  for name in ("report.json", "report.md"):
    assert "pass@" not in (tmp_path / "run" / name).read_text()
  # The range of round 1, a little wider, is what the values are on.
  support = json.loads((tmp_path / "run" / "support.json").read_text())
  assert support == {"v_min": -2.8, "v_max": 0.7}
  found = report["values"]["round 1"]["held_out_questions"]
  assert found["crps"] > 0 and "roc_auc" not in found
  head = json.loads((tmp_path / "run/round_1/value/config.json").read_text())
  own = {"loss": "categorical", "support": pytest.approx([-2.8, 0.7])}
  assert head["value_head"] == {"kind": "v", "num_atoms": 51} | own


def test_questions_about_a_passage_survive_a_fragile_reward(tmp_path):
  passage = "<p>The dog saw the cat.</p><p>The cat saw the bird.</p>"
  options = ["the dog", "the cat", "the bird", "nobody"]
  ask = lambda i: {
    "question": f"Who saw whom in case {i}?",
    "options": options,
    "gold_label": 1 + i % 4,
  }
  rows = lambda start: [
    {"article": passage, "questions": [ask(start + i), ask(start + i + 1)]}
    for i in range(0, 24, 2)
  ]
  write(tmp_path, "train", rows(0))
  write(tmp_path, "test", rows(100))
  texts = [passage, *options, "Answer with one letter. Who saw whom in case 1?"]
  model_directories.qwen2(tmp_path / "model", context=512, texts=texts)
  report, rollouts, said = run(
    "quality",
    tmp_path,
    f"quality:jsonl:{tmp_path}",
    reward="length_reward:fragile",
  )
  assert report["experiment"] == "quality"
  assert {row["num_questions"] for row in report["rows"]} == {4}
  assert {r.question_id.split(".")[0] for r in rollouts} <= {
    f"train-{i}" for i in range(1, 13)
  }
  # A reward that raises or is no number costs its sample, not the run.
  assert len(rollouts) % 4 == 0
  errors = {True: "KeyError: 'no such", False: "reward returned nan"}
  num_failed = 0
  for rollout in rollouts:
    rest = len(rollout.text) % 5
    if rest > 1 or len(rollout.text) < 2:
      assert rollout.error is None
      assert rollout.label == (len(rollout.text) % 2 == 0)
    else:
      num_failed += 1
      assert (rollout.label, rollout.correct) == (0.0, False)
      assert errors[rest == 0] in rollout.error
  assert 0 < num_failed < len(rollouts)
  assert f"{len(rollouts)} rollouts: {num_failed} failed to be graded" in said
