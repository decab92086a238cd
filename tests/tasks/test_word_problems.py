import itertools
import re

import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.tasks import word_problems
from qsharp_jax.tasks.word_problems import WordProblems

GAIN = {"buys", "finds", "gets", "wins", "picks"}
LOSS = {"sells", "loses", "breaks", "drops", "gives"}


def solve(question):
  """Reads the story word by word, as a person would."""
  total, sign = None, None
  for word in re.findall(r"[a-z]+|\d+", question):
    if word in GAIN:
      sign = 1
    elif word in LOSS:
      sign = -1
    elif word.isdigit():
      total = int(word) if total is None else total + sign * int(word)
  return total


def steps(answer):
  *lines, last = answer.split("\n")
  worked = []
  for line in lines:
    left, sign, change, result = re.fullmatch(
      r"(\d+)([+-])(\d+)=(\d+)", line
    ).groups()
    worked.append((int(left), sign, int(change), int(result)))
  return worked, int(re.fullmatch(r"#### (\d+)", last)[1])


def is_right(step):
  left, sign, change, result = step
  return result == (left + change if sign == "+" else left - change)


def test_gold_answers_are_right_and_stay_in_range():
  for question in WordProblems().generate(3000, seed=0):
    worked, final = steps(question.answer)
    assert final == solve(question.question) == worked[-1][-1]
    assert all(map(is_right, worked))
    assert len(worked) in (3, 4)
    assert all(
      before[-1] == after[0]
      for before, after in zip(worked, worked[1:], strict=False)
    )
    numbers = [int(n) for n in re.findall(r"\d+", question.answer)]
    assert max(numbers) <= 20


def test_steps_follow_the_text():
  for question in WordProblems().generate(300, seed=1):
    worked, _ = steps(question.answer)
    told = [int(n) for n in re.findall(r"\d+", question.question)]
    assert told == [worked[0][0], *(step[2] for step in worked)]


def test_mistakes_are_carried_on_and_come_at_their_rate():
  careless = WordProblems().generate(5000, seed=2, mistake_rate=0.2)
  total = wrong = spoiled = 0
  for question in careless:
    worked, final = steps(question.answer)
    assert final == worked[-1][-1]
    for before, after in zip(worked, worked[1:], strict=False):
      assert before[-1] == after[0]
    for left, sign, change, result in worked:
      right = left + change if sign == "+" else left - change
      assert 0 <= result - right <= 2
      assert 0 <= result <= 20
    total += len(worked)
    wrong += sum(not is_right(step) for step in worked)
    spoiled += final != solve(question.question)
  # Now and then there is no room for one.
  assert 0.15 < wrong / total < 0.2
  assert 0.4 < spoiled / len(careless) < 0.56


def test_a_step_is_wrong_wherever_there_is_room():
  num_right = 0
  for question in WordProblems().generate(500, seed=3, mistake_rate=1.0):
    worked, _ = steps(question.answer)
    amounts = [int(sign + str(change)) for _, sign, change, _ in worked]
    true = list(itertools.accumulate(amounts, initial=worked[0][0]))
    for i, (step, shown) in enumerate(zip(worked, true, strict=False)):
      room = 20 - max(true[i + 1 :]) - (step[0] - shown)
      assert room >= 0
      assert is_right(step) == (room == 0)
      num_right += room == 0
  assert num_right > 0


def test_a_mistake_is_never_made_up_for():
  """So an answer is right if, and only if, all of its steps are."""
  family = WordProblems(num_steps=(3, 3), max_value=12)
  wrong = 0
  for question in family.generate(3000, seed=5, mistake_rate=0.3):
    worked, final = steps(question.answer)
    are_right = all(map(is_right, worked))
    assert (final == solve(question.question)) == are_right
    wrong += not are_right
  assert 1300 < wrong < 2100


def test_questions_do_not_depend_on_the_mistakes():
  family = WordProblems()
  gold = family.generate(200, seed=4)
  careless = family.generate(200, seed=4, mistake_rate=0.5)
  assert [q.question for q in gold] == [q.question for q in careless]
  assert [q.answer for q in gold] != [q.answer for q in careless]
  assert gold == family.generate(200, seed=4)
  assert gold != family.generate(200, seed=5)


def test_distinct_and_never_excluded():
  # A family small enough to collide often.
  family = WordProblems(num_steps=(1, 1), max_value=4, max_amount=1)
  first = {q.question for q in family.generate(4000, seed=0)}
  second = {q.question for q in family.generate(4000, seed=1, exclude=first)}
  overlap = {q.question for q in family.generate(4000, seed=1)} & first
  assert len(first) == len(second) == 4000
  assert overlap and not first & second


def test_running_dry_is_an_input_error(monkeypatch):
  monkeypatch.setattr(word_problems, "NAMES", (("Ann", "she"),))
  monkeypatch.setattr(word_problems, "OBJECTS", ("pens",))
  family = WordProblems(num_steps=(1, 1), max_value=4, max_amount=1)
  with pytest.raises(InputError, match="ask for fewer"):
    family.generate(2000, seed=0)


def test_there_are_plenty():
  found = WordProblems().generate(20_000, seed=6)
  again = WordProblems().generate(20_000, seed=7)
  # Birthday bound: two draws of 20,000 among a million would share about 400.
  shared = {q.question for q in found} & {q.question for q in again}
  assert len(shared) < 40


def test_other_ranges():
  family = WordProblems(num_steps=(2, 6), max_value=9)
  found = family.generate(500, seed=0, mistake_rate=0.3)
  assert {len(steps(q.answer)[0]) for q in found} == {2, 3, 4, 5, 6}
  numbers = [int(n) for q in found for n in re.findall(r"\d+", q.answer)]
  assert max(numbers) == 9


@pytest.mark.parametrize(
  "wrong",
  [{"num_steps": (0, 2)}, {"num_steps": (3, 2)}, {"max_value": 3}],
)
def test_bad_families(wrong):
  with pytest.raises(InputError):
    WordProblems(**wrong)


def test_bad_mistake_rate():
  with pytest.raises(InputError, match="mistake_rate"):
    WordProblems().generate(1, seed=0, mistake_rate=1.5)
