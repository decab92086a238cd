"""Rows that answers may exceed are refused before any answer is sampled."""

import dataclasses

import pytest
from oracles import micro_runs

from experiments.configs import gsm8k
from experiments.harness import lengths
from qsharp_jax import rollout
from qsharp_jax.core import errors
from qsharp_jax.finetuning import methods as finetuning_methods

PROMPT = [7, 8, 9]  # the longest of a micro run
ANSWER = micro_runs.NEW_TOKENS


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  return micro_runs.run(tmp_path_factory.mktemp("lengths"))


@pytest.mark.parametrize(
  "name, least",
  [
    ("sft", 3 + ANSWER),
    ("ppo", 3 + ANSWER),
    ("a_star_po", 3 + ANSWER),
    ("dpo", 2 * (3 + ANSWER)),
    ("cpl", 2 * (3 + ANSWER)),
  ],
)
def test_a_row_has_room_for_all_it_may_hold(run, name, least):
  make = lambda length: finetuning_methods.make(
    name, {"fit": {"max_length": length}}
  )
  lengths.check_tuned(run, name, make(least))
  with pytest.raises(errors.InputError) as caught:
    lengths.check_tuned(run, name, make(least - 1))
  said = str(caught.value)
  assert said.startswith(
    f"baselines.{name}.fit.max_length is {least - 1}; expected at least {least}"
  )
  assert "3 tokens" in said and f"max_new_tokens {ANSWER}" in said


def test_a_gold_answer_counts_as_long_as_it_is(run):
  gold = lambda problem: [1] * 9
  pairs = lambda length: finetuning_methods.make(
    "dpo", {"fit": {"max_length": length}}
  )
  lengths.check_tuned(run, "dpo", pairs(2 * 3 + ANSWER + 9), gold)
  with pytest.raises(errors.InputError, match="expected at least 19"):
    lengths.check_tuned(run, "dpo", pairs(2 * 3 + ANSWER + 8), gold)


def test_policies_that_come_first_are_looked_at(run):
  settings = finetuning_methods.make("rto", {"dpo": {"fit": {"max_length": 5}}})
  with pytest.raises(errors.InputError, match="baselines.rto.dpo.fit"):
    lengths.check_tuned(run, "rto", settings)


def test_a_question_longer_than_context_or_rows_is_named():
  config = gsm8k.get_config("tiny")
  config.sampling.max_new_tokens, config.fit.max_length = 8, 20
  problem = rollout.Problem("q1", [1] * 12, "", "train")
  lengths.check(config, [problem], 20)
  with pytest.raises(errors.InputError, match="question q1 .* context of 19"):
    lengths.check(config, [problem], 19)
  longer = dataclasses.replace(problem, prompt=[1] * 13)
  with pytest.raises(errors.InputError, match="fit.max_length, of 20"):
    lengths.check(config, [longer], 100)
