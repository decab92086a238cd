"""How searches judge answers: by texts, and by the last round's values."""

import types

import numpy as np
import pytest
from oracles import micro_runs

from qsharp_jax import generate, rewards, rollout
from qsharp_jax.pipeline import searches
from qsharp_jax.training import value_model


def problem(id_, answer, split="test"):
  return rollout.Problem(id_, [1, 2], answer, split)


def grade(score):
  """A reward that says what it was asked; a text "fails" fails."""

  def found(texts, answers, split="", *, prompts=None):
    del prompts
    return [
      rewards.Grade(False, None, 0.0, "failed")
      if text == "fails"
      else rewards.Grade(True, None, score(text, answer, split))
      for text, answer in zip(texts, answers, strict=True)
    ]

  return found


def test_each_reward_is_a_column_and_meets_the_gold_answer_of_its_request():
  task = types.SimpleNamespace(
    validation=[problem("v", "abc", "validation")],
    test=[problem("t", "abcdef")],
    decode=lambda tokens: "fails" if 0 in tokens else "x" * len(tokens),
  )
  judge = searches.graded_rewards(
    task,
    [
      grade(lambda text, answer, _: len(answer) - len(text)),
      grade(lambda text, _, split: len(split)),
    ],
  )
  request = lambda id_: generate.Request([1, 2], [0], None, id=id_)
  found = judge([
    (request("t"), [5, 6]), (request("v"), [5]), (request("t"), [5, 0]),
  ])  # fmt: skip
  assert found.dtype == np.float32
  np.testing.assert_array_equal(
    found, [[6 - 2, len("test")], [3 - 1, len("validation")], [0, 0]]
  )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  return micro_runs.evaluated(tmp_path_factory.mktemp("searches"))


def test_values_judge_whole_answers_by_the_last_round(run):
  sequences = [[7, 8, 5, 3], [9, 3], [7, 8, 9, 11, 12, 3]]
  ends = [(generate.Request(own[:2], [0], None), own[2:]) for own in sequences]
  found = searches.value_rewards(run)(ends)
  own = lambda i: value_model.final_values(
    run.players.critic,
    run.values(i),
    sequences,
    length=run.fit.max_length,
    batch_size=run.fit.batch_size,
    layout=run.layout,
  )
  np.testing.assert_allclose(found[:, 0], own(2), rtol=1e-6)
  assert found.shape == (3, 1)
  assert np.abs(found[:, 0] - own(1)).max() > 1e-3


SIZES = {"batch_size": 4, "prompt_length": 8, "max_new_tokens": 4}


def test_a_search_holds_the_caches_of_all_its_samples(run):
  judge = lambda: searches.value_rewards(run)
  caches = lambda method: method.needs(**SIZES).caches
  one, four = (
    caches(searches.best_of(run, judge, num_samples=n)) for n in (1, 4)
  )
  # Four samples share the cache of their prompt at most while it is read.
  assert 3.5 * one <= four <= 4 * one
  beams = searches.likeliest(run, lambda: "", num_beams=4)
  # Of the policy and the reference, and once more while beams are copied.
  assert 2 * 2 * 3.5 * one <= caches(beams) <= 2 * 2 * 4 * one
