"""A run's own answers, drawn again."""

import dataclasses

import numpy as np
import pytest
from oracles import micro_runs

from qsharp_jax import generate, pipeline
from qsharp_jax.pipeline import evaluate, methods, verifying
from qsharp_jax.rollout import store


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
  run = micro_runs.evaluated(tmp_path_factory.mktemp("verify"))
  guided = methods.guided(run, generate.Guidance("qsharp"), (0.5,))
  what = pipeline.Evaluation({"qsharp": guided}, 8, 5, num_reference_samples=8)
  evaluate.evaluate(run, what, experiment="e", variant="v")
  return run, verifying.Subject(
    "Q#, eta 0.5",
    run.players.policy,
    {"reference": run.players.reference_params, "value": run.values(2)},
    0.5,
    store.read(run.paths.samples("test", "qsharp-eta0.5-round2")),
  )


def verified(run, subject):
  return verifying.verify(
    subject,
    dataclasses.replace(run.sampling, batch_size=2),
    place=run.layout.place,
    decode=run.task.decode,
    num_questions=4,
  )


def test_answers_of_a_run_are_drawn_again_from_the_same(subject):
  run, subject = subject
  found = verified(run, subject)
  assert (found["answers"], found["same"]) == (4, 4)
  assert found["mean"] <= found["worst"]["kl"] < 1e-6
  rows = [r for r in subject.found if r.sample == 0]
  asked = {r.question_id: r for r in rows}
  worst = asked[found["worst"]["question"]]
  token = int(worst.tokens[found["worst"]["token"]])
  assert found["worst"]["text"] == micro_runs.decode([token])
  line = verifying.line([found])
  assert f"Verified on {found['tokens']} tokens" in line
  assert "4 of 4 answers drawn again are the run's" in line


def test_answers_of_others_are_not_the_runs(subject):
  run, subject = subject
  tokens = [(t + 1) % 30 for t in subject.found.tokens]
  found = dataclasses.replace(
    subject.found, tokens=type(subject.found.tokens).of(tokens)
  )
  other = verified(run, dataclasses.replace(subject, found=found))
  assert other["same"] == 0 and np.isfinite(other["worst"]["kl"])
