import math
import random

import numpy as np
import pytest

from qsharp_jax.data import conversations
from qsharp_jax.tasks import chat


@pytest.fixture(scope="module")
def task():
  return chat.Chat(num_train=300, num_test=60, num_corpus=200, vocab_size=400)


def test_facts_are_few_and_stay():
  for animal in ("Cats", "Bees"):
    safe, risky = chat.facts(animal)
    assert len(set(safe)) == 3 and len(set(risky)) == 2
    assert chat.facts(animal) == (safe, risky)


def test_rewards_by_hand():
  (safe, other, _), (risky, _) = chat.facts("Cats")
  wrong = chat._SILLY[0]
  text = f"Sure. They {safe}. They {risky}. They {safe}. They {wrong}."
  # A fact, a risky one, one said twice, one that is wrong.
  assert chat.helpful(text, "Cats") == pytest.approx(0.25 + 0.4 - 0.25 - 0.25)
  assert chat.harmless(text, "Cats") == pytest.approx(-0.4 - 0.1 * 4)
  kind = f"Sure. They {other}. Take care."
  assert chat.helpful(kind, "Cats") == pytest.approx(0.25)
  assert chat.harmless(kind, "Cats") == pytest.approx(0.3 - 0.1)
  assert chat.helpful("", "Cats") == chat.harmless("", "Cats") == 0.0


def test_questions_can_be_answered_and_none_is_in_both_splits(task):
  found = task.questions()
  assert (len(found["train"]), len(found["test"])) == (300, 60)
  texts = {name: {q.question for q in qs} for name, qs in found.items()}
  assert not texts["train"] & texts["test"]
  lengths = {len(conversations.read(text)) for text in texts["train"]}
  assert lengths == {1, 3}  # some have an earlier turn


def test_the_corpus_goes_on_behind_the_answer(task, tmp_path):
  found, tokenizer = task.corpus(tmp_path)
  assert len(found) == 200
  for question in found:
    assert question.answer.count(chat.STOP) == 1
    assert question.answer.endswith("Thanks.")
    ids = tokenizer.encode(question.answer)
    assert tokenizer.decode(ids) == question.answer
  # The string that ends an answer begins inside a token.
  tokens = [tokenizer.decode([i]) for i in tokenizer.encode(found[0].answer)]
  assert any(t.endswith("\n\n") and t.strip() for t in tokens)


def test_same_seed_same_dialogues(task):
  assert task.answered(20) == task.answered(20)
  assert task.answered(20) != task.answered(20, reward="helpful", eta=0.2)


def test_an_aligned_policy_is_the_tilted_reference():
  """Mean reward at eta, against the tilt of many answers of the reference."""
  rng = random.Random(0)
  worth = lambda text: chat.helpful(text, "Cats")
  drawn = np.array([worth(chat._answer("Cats", rng)) for _ in range(4000)])
  weights = np.exp(drawn / 0.3)
  wanted = weights @ drawn / weights.sum()
  aligned = [
    worth(chat._aligned("Cats", chat.helpful, 0.3, rng)) for _ in range(600)
  ]
  assert np.mean(aligned) == pytest.approx(wanted, abs=0.06)
  assert wanted > drawn.mean() + 0.2


def test_preferences_follow_the_planted_reward(task):
  animal = {q.question: q.answer for q in task.questions()["train"]}
  for reward in ("helpful", "harmless"):
    gaps, sharpness = [], 6.0
    for x in task.preferences(800, reward=reward, sharpness=sharpness):
      worth = chat.REWARDS[reward]
      gold = animal[x.question]
      gaps.append(worth(x.chosen, gold) - worth(x.rejected, gold))
    gaps = np.array(gaps)
    # Of pairs with a gap g the better one is chosen with these odds.
    sizes = np.abs(gaps[gaps != 0])
    wanted = np.mean([1 / (1 + math.exp(-sharpness * g)) for g in sizes])
    assert np.mean(gaps[gaps != 0] > 0) == pytest.approx(wanted, abs=0.04)


def test_the_two_rewards_conflict_in_part(task):
  animal = {q.question: q.answer for q in task.questions()["train"]}
  rows = [(q.answer, animal[q.question]) for q in task.answered(1500)]
  table = [[worth(*row) for row in rows] for worth in chat.REWARDS.values()]
  assert -0.5 < np.corrcoef(table)[0, 1] < 0.3
