"""Stages and their sizes, worked out by hand; and the command as it stands."""

import pytest
from oracles import commands, micro_runs

from experiments.configs import alignment
from experiments.harness import dry_run, measuring
from qsharp_jax import pipeline, rollout
from qsharp_jax.core.errors import InputError
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
    found = {stage.name: stage for stage in dry_run._stages(run, what)}
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


def test_what_is_done_costs_nothing_more():
  stage = lambda name, seconds, *marks: dry_run.Stage(
    name, "1 answers", 1, 10**9, seconds, marks
  )
  lines = list(
    dry_run._table(
      [
        stage("collect_1", 30.0),
        stage("test: a", 90.0, "one", "other"),
        stage("test: b", 60.0, "one", "third"),
        stage("test: c", None),
      ],
      {"collect_1": 3.0, "one": 1.0, "other": 1.0},
    )
  )
  assert [line.split()[-1] for line in lines[1:3]] == ["done", "done"]
  assert lines[3].endswith(" 1 min") and lines[4].endswith(" unknown")
  assert lines[-1] == "in all 1 min, without test: c and their training"


def test_what_cannot_be_measured_is_refused_by_name():
  with pytest.raises(InputError, match="cannot measure the variant 'tiny'"):
    dry_run._check_measurable(alignment.get_config("tiny"))
  dry_run._check_measurable(alignment.get_config("local"))


@pytest.mark.slow
@pytest.mark.parametrize(
  "experiment, flags",
  [
    ("gsm8k", {"pretrain.num_questions": 2000}),
    ("star_graph", {"graphs.num_pretrain": 2000}),
    ("abstention", {"graphs.num_pretrain": 2000}),
  ],
)
def test_the_command_says_what_is_to_do_and_writes_nothing(
  experiment, flags, tmp_path
):
  flags |= {"data.num_train": 20, "data.num_validation": 4, "data.num_test": 4}
  done = commands.run(
    f"experiments.{experiment}",
    f"--workdir={tmp_path / 'run'}",
    "--dry_run",
    *(f"--config.{name}={value}" for name, value in flags.items()),
  )
  assert done.returncode == 0, done.stderr
  assert "in all" in done.stdout and "Compiling is not counted" in done.stdout
  assert not list(tmp_path.iterdir())
