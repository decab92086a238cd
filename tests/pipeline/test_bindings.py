"""What a run keeps, refuses or makes again when something has changed."""

import dataclasses
import types

import numpy as np
import pytest
from oracles import decoders, micro_runs, players, run_files

from qsharp_jax import models, pipeline, rewards
from qsharp_jax.checkpoint import saving
from qsharp_jax.core import digests
from qsharp_jax.core.errors import InputError
from qsharp_jax.pipeline import (
  algorithm1,
  contents,
  methods,
)
from qsharp_jax.rollout import store


def other(index, **changes):
  """The questions, one of them changed."""
  problems = micro_runs.questions()
  problems[index] = dataclasses.replace(problems[index], **changes)
  return problems


def swapped():
  first, second, *rest = micro_runs.questions()
  return [second, first, *rest]


@pytest.mark.parametrize(
  ("changes", "says"),
  [
    (
      {"problems": other(2, answer="13")},
      "question q2 has another gold answer than when round 1 was collected: "
      "'gold 2' there, '13' here",
    ),
    (
      {"problems": other(3, prompt=[7, 11, 10])},
      "question q3 has another prompt than when round 1 was collected",
    ),
    (
      {"problems": other(6, id="new")},
      "question new was not there when round 1 was collected",
    ),
    (
      {"problems": micro_runs.questions()[1:]},
      "question q0 is gone since round 1 was collected",
    ),
    ({"problems": swapped()}, "the questions stand in another order"),
    ({"sampling": {"temperature": 0.5}}, "sampling.temperature 1.0 there, 0.5"),
    ({"sampling": {"top_p": 0.5}}, "sampling.top_p 1.0 there, 0.5 here"),
    ({"sampling": {"max_new_tokens": 3}}, "sampling.max_new_tokens 4 there, 3"),
    ({"rounds": {"num_samples": 2}}, "rounds.num_samples 4 there, 2 here"),
    ({"rounds": {"seed": 3}}, "seed 13 there, 3 here"),
    ({"rounds": {"eta": 0.5}}, "rounds.eta 0.3 there, 0.5 here"),
    ({"rounds": {"rule": "response"}}, "rounds.rule 'algorithm1' there"),
    ({"policy": {"num_candidates": 2}}, "sampling.num_candidates 4 there, 2"),
    ({"policy": {"is_truncated": True}}, "sampling.is_truncated False there"),
  ],
)
def test_refuses_other_inputs_and_says_which(learnt, changes, says):
  before = run_files.content(learnt)
  with pytest.raises(InputError) as error:
    pipeline.learn(micro_runs.learning(learnt, **changes))
  message = str(error.value)
  assert says in message and "\n" not in message
  assert "choose another --workdir, or delete round_" in message
  assert run_files.changed(before, learnt) <= {"weights"}
  assert run_files.content(learnt).keys() >= before.keys()


def test_another_reward_grades_the_stored_texts_again(learnt, monkeypatch):
  before = store.read(learnt / "run" / "round_1" / "rollouts")
  sampled = []
  monkeypatch.setattr(
    algorithm1, "sample_each", lambda *args: sampled.append(args)
  )

  def length(texts, answers, split="", *, prompts=None):
    return [rewards.Grade(None, None, len(t) / 8 - 1.5) for t in texts]

  mended = {"reward": "length", "grade": length}
  change = {"task": mended, "rounds": {"num_rounds": 1}}
  critic = {"critic": {"loss": "squared_error"}}
  pipeline.learn(micro_runs.learning(learnt, **change, **critic))
  after = store.read(learnt / "run" / "round_1" / "rollouts")
  assert not sampled and after.text.tolist() == before.text.tolist()
  np.testing.assert_allclose(
    after.label, [len(t) / 8 - 1.5 for t in after.text]
  )
  assert not after.has_verdicts and before.has_verdicts
  mark = (learnt / "run" / "stages" / "train_1.json").read_text()
  assert '"reward": "length"' in mark  # and the values were trained anew
  # The same reward again: nothing is graded.
  unused = {"reward": "length", "grade": None}
  pipeline.learn(
    micro_runs.learning(learnt, task=unused, rounds={"num_rounds": 1}, **critic)
  )


def test_refuses_other_weights_of_the_same_name(learnt):
  saving.save_language_model(
    learnt / "reference",
    micro_runs.CONFIG,
    decoders.params(models.LanguageModel(micro_runs.CONFIG), seed=7),
    "llama",
    token_ids={"eos_token_id": list(players.EOS)},
  )
  with pytest.raises(InputError, match="weights of the reference changed"):
    pipeline.learn(micro_runs.learning(learnt))


def test_weights_are_read_once(learnt, monkeypatch):
  read = []

  def of_file(path):
    read.append(path.name)
    return digests.of_file(path)

  counting = types.SimpleNamespace(of_file=of_file)
  monkeypatch.setattr(contents, "digests", counting)
  for _ in range(2):  # the copy has other paths than the original
    pipeline.learn(micro_runs.learning(learnt))
    # The reference's and those of round 1's values: weights and shape.
    assert len(read) == 4


def test_sizes_that_change_no_result_are_free(learnt, fits):
  before = run_files.content(learnt)
  run = micro_runs.learning(
    learnt,
    sampling={"batch_size": 3, "prompts_per_refill": 2, "prompt_bucket": 8},
    fit={"num_microbatches": 2, "checkpoint_every": 1},
  )
  pipeline.learn(run)
  assert run_files.changed(before, learnt) <= {"weights"} and not fits


def evaluate(run, *, etas=(0.2,), num_samples=2, **fields):
  guidance = run.players.policy.guidance
  method = methods.guided(run, guidance, etas)
  what = pipeline.Evaluation(
    {"qsharp": dataclasses.replace(method, **fields)},
    num_samples,
    num_reference_samples=1,
  )
  pipeline.evaluate.evaluate(run, what, experiment="e", variant="v")


def sampled(before, directory):
  """The stages of the evaluation whose marks changed."""
  return {
    name.removeprefix("stages/")
    for name in run_files.changed(before, directory)
    if name.startswith("stages/")
  }


@pytest.fixture
def evaluated(learnt):
  evaluate(micro_runs.learning(learnt))
  return learnt


def test_an_evaluation_adds_what_is_new(evaluated):
  before = run_files.content(evaluated)
  evaluate(micro_runs.learning(evaluated))
  assert not sampled(before, evaluated)
  evaluate(micro_runs.learning(evaluated), etas=(0.2, 0.4))
  assert sampled(before, evaluated) == {
    "evaluate_validation_qsharp-eta0.2-round2",
    "evaluate_validation_qsharp-eta0.4-round2",
    "evaluate_test_qsharp-eta0.4-round2",
    "judge_evaluate_test_qsharp-eta0.4-round2",
  }


GUIDED = {
  "evaluate_test_qsharp-eta0.3-round1",
  "evaluate_test_qsharp-eta0.2-round2",
}
JUDGED = {f"judge_{name}" for name in GUIDED}


def test_other_candidates_sample_again_what_is_guided(evaluated):
  before = run_files.content(evaluated)
  evaluate(micro_runs.learning(evaluated, policy={"num_candidates": 2}))
  # New samples have no values yet.
  assert sampled(before, evaluated) == GUIDED | JUDGED


def test_settings_of_a_method_are_its_own(evaluated):
  before = run_files.content(evaluated)
  evaluate(micro_runs.learning(evaluated), settings={"search.blocks": 3})
  assert sampled(before, evaluated) == GUIDED | JUDGED


def test_another_number_of_samples_is_sampled_anew(evaluated):
  before = run_files.content(evaluated)
  evaluate(micro_runs.learning(evaluated), num_samples=3)
  both = GUIDED | {"evaluate_test_reference"}
  assert sampled(before, evaluated) == both | {f"judge_{name}" for name in both}
  folder = evaluated / "run" / "evaluation" / "test" / "reference"
  assert len(store.read(folder)) == 2 * 3


def test_other_values_judge_the_reference_again(evaluated):
  folder = evaluated / "run" / "evaluation" / "test" / "reference"
  old = store.read(folder)
  run = micro_runs.learning(evaluated, fit={"learning_rate": 0.5})
  algorithm1.train(run, 2)
  before = run_files.content(evaluated)
  evaluate(run)
  last = "evaluate_test_qsharp-eta0.2-round2"
  assert sampled(before, evaluated) == {
    last,
    "judge_evaluate_test_reference",
    *JUDGED,
  }
  new = store.read(folder)
  assert [t.tolist() for t in new.tokens] == [t.tolist() for t in old.tokens]
  assert not np.isnan(old.value).any() and (new.value != old.value).any()


def test_an_evaluation_refuses_another_gold_answer(evaluated):
  with pytest.raises(InputError, match="question q9 has another gold answer"):
    evaluate(micro_runs.learning(evaluated, problems=other(9, answer="x")))
