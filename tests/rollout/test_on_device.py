"""Paths graded from their ids beside the grader of texts; what is refused."""

import numpy as np
import pytest
from oracles import players

from qsharp_jax import data, rewards, rollout
from qsharp_jax.core.errors import InputError
from qsharp_jax.rollout import buffer as buffer_lib
from qsharp_jax.rollout import on_device

M = 4


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
  words = ["=", *map(str, range(12))]
  return data.new_tokenizers.word_level(
    words, directory=tmp_path_factory.mktemp("t")
  )


def test_a_path_is_graded_as_its_text_is(tokenizer):
  rng = np.random.default_rng(0)
  answers = ["3,10,2", "3,10", "10,2,3,1", "1,2,3,4,5", "7"] * 80
  # Mostly right, with other tokens and specials in between.
  gold = [tokenizer.encode(answer) for answer in answers]
  tokens = np.array([(ids + [1] * M)[:M] for ids in gold], np.int32)
  noise = rng.integers(0, tokenizer.vocab_size, tokens.shape)
  tokens = np.where(rng.random(tokens.shape) < 0.15, noise, tokens)
  lengths = rng.integers(1, M + 1, len(tokens)).astype(np.int32)
  reward = on_device.path(tokenizer, max_new_tokens=M)
  problems = [rollout.Problem("q", [1], answer) for answer in answers]
  paid = reward.pay(tokens.astype(np.int32), lengths, reward.answers(problems))
  texts = [
    tokenizer.decode(row[:n]) for row, n in zip(tokens, lengths, strict=True)
  ]
  grades = [
    rewards.graders.path(text, answer)
    for text, answer in zip(texts, answers, strict=True)
  ]
  expected = [grade.reward for grade in grades]
  assert paid.sum(axis=1).tolist() == expected
  assert 50 < sum(expected) < len(expected) - 50
  assert [reward.extract(text) for text in texts] == [
    grade.extracted for grade in grades
  ]


def test_rewards_of_the_same_tokens_share_a_program(tokenizer):
  one, other = (on_device.path(tokenizer, max_new_tokens=n) for n in (4, 5))
  assert one.pay == other.pay and hash(one.pay) == hash(other.pay)


def test_tokens_that_are_no_words_are_refused(tokenizer):
  class Pieces:
    vocab_size = 3

    def decode(self, ids):
      return "".join("ab."[i] for i in ids)

  with pytest.raises(InputError, match="no whole words.*set it to False"):
    on_device.path(Pieces(), max_new_tokens=M)


def test_a_rule_that_looks_at_answers_is_refused():
  sampler = on_device.Sampler(
    players.policy("v"),
    {},
    players.SAMPLING,
    on_device.Reward(None, None, None),
    buffer_lib.empty(1, 8, 18),
    decode=str,
    place=lambda tree: tree,
  )
  plan = rollout.Plan(num_samples=1, seed=0, eta=0.1, rule="response")
  with pytest.raises(InputError, match="'response'.*expected 'algorithm1'"):
    next(sampler.samples([(plan, [rollout.Problem("q", [1, 2], "")])]))
