"""What training again depends on, beside what it keeps."""

import logging

from oracles import micro_runs, run_files

from qsharp_jax import pipeline
from qsharp_jax.pipeline import (
  algorithm1,
  training_bindings,
)


def test_another_fit_trains_again_and_keeps_the_rollouts(learnt, fits, caplog):
  before = run_files.content(learnt)
  with caplog.at_level(logging.WARNING):
    pipeline.learn(micro_runs.learning(learnt, fit={"learning_rate": 0.5}))
  assert [fit.how.learning_rate for fit in fits] == [0.5, 0.5]
  (line,) = [m for m in caplog.messages if m.startswith("train_1")]
  assert line == "train_1 is made again: fit.learning_rate 0.01 there, 0.5 here"
  found = run_files.changed(before, learnt)
  assert {"round_1/value", "stages/train_1", "stages/train_2"} <= found
  # Round 2 was rolled in with the values of round 1.
  assert "round_2/rollouts" in found
  assert not found & {"round_1/rollouts", "stages/collect_1"}


def test_a_deleted_round_is_collected_again_from_other_inputs(learnt):
  run = micro_runs.learning(learnt, sampling={"temperature": 0.5})
  for path in (run.paths.rollouts(1)).iterdir():
    path.unlink()
  (run.paths.rollouts(1)).rmdir()
  algorithm1.collect(run, 1)
  with run.workdir.stages([training_bindings.train(run, 1)]) as due:
    assert due == ["train_1"]


def test_more_rounds_go_on_from_those_that_are_there(learnt, fits):
  before = run_files.content(learnt)
  pipeline.learn(micro_runs.learning(learnt, rounds={"num_rounds": 3}))
  found = run_files.changed(before, learnt)
  assert len(fits) == 1
  assert {name for name in found if name.startswith("stages")} == {
    "stages/collect_3",
    "stages/train_3",
  }
