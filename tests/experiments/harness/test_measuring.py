"""What is measured, not how long it takes."""

import dataclasses

import numpy as np
from oracles import micro_runs

from experiments.harness import measuring
from qsharp_jax import rollout, training
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.pipeline import labelled


def test_answers_are_two_batches_with_the_longest_prompt(tmp_path):
  run = micro_runs.learning(tmp_path, sampling={"batch_size": 2})
  task = dataclasses.replace(run.task, test=[])
  task = dataclasses.replace(
    task,
    validation=[rollout.Problem("long", [7, 8, 9, 9], "", "validation")],
  )
  run = dataclasses.replace(run, task=task)
  with run.layout.context():
    found = measuring.answers(run, "own", run.sampler(None), rollout.Plan(3, 0))
  assert len(found.found) == 2 * 2 * 3
  assert "long" in found.found.question_id
  assert found.tokens == np.mean(found.found.lengths)
  assert found.seconds > 0 and found.found.is_graded.all()


def test_a_step_is_one_of_a_full_batch(tmp_path):
  run = micro_runs.run(tmp_path)
  model = run.players.policy.reference
  found = rollout.store.read(run.paths.rollouts(1), with_text=False)
  rows = labelled.pack(found.take(np.arange(3)), length=8)
  how = dataclasses.replace(run.fit, batch_size=5)
  inner, seen = training.objectives.language_model(model), []

  def objective(params, batch):
    seen.append(batch["segments"].shape)
    return inner(params, batch)

  with run.layout.context():
    _, params = huggingface.load_language_model(
      run.players.reference, shardings=run.layout.for_training(model)
    )
    assert measuring.step(objective, params, rows, how, run, "own") > 0
  # More rows than there are.
  assert set(seen) == {(5, 8)}
