"""Stages and their sizes, worked out by hand."""

import pytest
from oracles import micro_runs

from experiments.harness import measuring, stages
from qsharp_jax import pipeline, rollout
from qsharp_jax.pipeline import methods

# Of an answer to whoever, of a step, of a judgement.
SECONDS = {"reference": 1.0, "roll-in": 10.0, "guided": 100.0}
STEP, JUDGEMENT = 0.5, 0.25


@pytest.fixture
def run(tmp_path, monkeypatch):
  found = micro_runs.run(tmp_path / "collected")
  stored = rollout.store.read(found.paths.rollouts(1), with_text=False)
  learning = micro_runs.learning(tmp_path)
  answers = lambda run, name, *_: measuring.Answers(SECONDS[name], stored)
  monkeypatch.setattr(measuring, "answers", answers)
  monkeypatch.setattr(measuring, "step", lambda *_: STEP)
  monkeypatch.setattr(measuring, "judgement", lambda *_: JUDGEMENT)
  learning.held[2] = None  # nothing samples
  return learning


def test_stages_have_the_sizes_that_a_run_would_have(run):
  guidance = run.players.policy.guidance
  tuned = methods.tuned(run, lambda: "nowhere")
  what = pipeline.Evaluation(
    {"qsharp": methods.guided(run, guidance, (0.1, 0.2)), "dpo": tuned},
    num_samples=3,
    num_reference_samples=7,
  )
  with run.layout.context():
    found = {stage.name: stage for stage in stages.of_run(run, what)}
  # Six questions to train on, two of validation, two to test; four samples.
  assert {name: stage.work for name, stage in found.items()} == {
    "collect_1": "32 answers",
    "train_1": "6 steps",  # 24 answers; ten fill nine rows, four a batch
    "collect_2": "32 answers",
    "train_2": "11 steps",
    "validation: qsharp, round 2": "12 answers",
    "test: reference": "18 answers",  # nine of each: threes
    "test: qsharp, round 1": "6 answers",
    "test: qsharp, round 2": "12 answers",
    "test: dpo": "6 answers",
    "judge": "42 answers",
  }
  seconds = {name: stage.seconds for name, stage in found.items()}
  assert seconds["collect_1"] == 32 and seconds["collect_2"] == 320
  assert seconds["train_2"] == 11 * STEP and seconds["judge"] == 42 * JUDGEMENT
  assert seconds["test: reference"] == 18
  assert seconds["test: qsharp, round 1"] == 600
  assert seconds["test: dpo"] is None  # what it is tuned on is not there
  assert all(stage.num_bytes > 0 for stage in found.values())
