import random

import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import splitting
from qsharp_jax.data.records import Question

QUESTIONS = [Question(f"q-{i}", f"What is {i}?", str(i)) for i in range(2000)]


def sides(questions, **kwargs):
  train, held_out = splitting.by_question(questions, **kwargs)
  return {q.question for q in train}, {q.question for q in held_out}


def test_share_order_and_no_overlap():
  train, held_out = splitting.by_question(QUESTIONS, validation=0.1, seed=0)
  assert sorted(train + held_out, key=lambda q: int(q.answer)) == QUESTIONS
  assert 150 < len(held_out) < 250
  assert train == [q for q in QUESTIONS if q in set(train)]


def test_the_side_depends_on_text_and_seed_alone():
  want = sides(QUESTIONS, validation=0.2, seed=3)
  shuffled = random.Random(0).sample(QUESTIONS, k=len(QUESTIONS))
  assert sides(shuffled, validation=0.2, seed=3) == want
  half = sides(QUESTIONS[:1000], validation=0.2, seed=3)
  assert half[0] <= want[0] and half[1] <= want[1]
  assert sides(QUESTIONS, validation=0.2, seed=4) != want


def test_repeated_questions_stay_together():
  copies = [Question("x", q.question, "other") for q in QUESTIONS]
  train, held_out = sides(QUESTIONS + copies, validation=0.5, seed=0)
  assert not train & held_out


def test_stable_over_time():
  # Written down once: another split of the same seed would leak.
  _, held_out = splitting.by_question(QUESTIONS[:40], validation=0.1, seed=0)
  assert [q.id for q in held_out] == ["q-4", "q-21"]


def test_limits():
  assert sides(QUESTIONS, validation=0.0, seed=0)[1] == set()
  assert sides(QUESTIONS, validation=1.0, seed=0)[0] == set()
  with pytest.raises(InputError, match="share"):
    splitting.by_question(QUESTIONS, validation=1.5, seed=0)


def test_three_splits_are_cut_from_the_front():
  train, test = QUESTIONS[:400], QUESTIONS[400:450]
  found = splitting.in_three(
    train, test, num_train=5, num_validation=40, num_test=3, seed=0
  )
  learnt, held_out = splitting.by_question(train, validation=0.1, seed=0)
  assert found == {
    "train": learnt[:5],
    "validation": held_out,
    "test": test[:3],
  }
  whole = splitting.in_three(
    train, test, num_train=0, num_validation=40, num_test=0, seed=0
  )
  assert whole == {"train": learnt, "validation": held_out, "test": test}


@pytest.mark.parametrize(
  ("num_train", "num_validation", "num_test", "says"),
  [
    (0, 1, 50, "0 for train, 0 for validation, 50 for test"),
    (400, 400, 50, "0 for train, 400 for validation, 50 for test"),
    (400, 40, 0, "0 for test"),
  ],
)
def test_an_empty_split_is_refused(num_train, num_validation, num_test, says):
  with pytest.raises(InputError, match=says):
    splitting.in_three(
      QUESTIONS[:num_train],
      QUESTIONS[400 : 400 + num_test],
      num_train=0,
      num_validation=num_validation,
      num_test=0,
      seed=0,
    )


def test_questions_are_left_out_by_their_text():
  again = [Question("x", QUESTIONS[1].question, "another answer")]
  assert splitting.without(QUESTIONS[:3], again) == [QUESTIONS[0], QUESTIONS[2]]
