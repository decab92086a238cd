"""Which texts are graded together, and again."""

from oracles import rollouts as make

from qsharp_jax import rewards
from qsharp_jax.rollout import grading, problems, store


def spy(calls):
  """Grades by length; notes what it was asked."""

  def grade(predictions, answers, split="", *, prompts=None):
    calls.append((predictions, answers, split, prompts))
    return [rewards.Grade(None, None, float(len(p))) for p in predictions]

  return grade


def test_each_split_is_graded_by_itself_and_put_back_in_order():
  calls = []
  asked = [
    problems.Problem("a", [1], "1", "train", "one?"),
    problems.Problem("b", [1], "2", "validation", "two?"),
    problems.Problem("c", [1], "3", "train", "three?"),
  ]
  grades = grading.grade_texts(spy(calls), ["x", "yy", "zzz"], asked)
  assert calls == [
    (["x", "zzz"], ["1", "3"], "train", ["one?", "three?"]),
    (["yy"], ["2"], "validation", ["two?"]),
  ]
  assert [grade.reward for grade in grades] == [1.0, 2.0, 3.0]


def test_stored_texts_are_graded_once_by_each_reward(tmp_path):
  row = make.rollout(text="four", answer="7", split="test", question="why?")
  store.write_shard(tmp_path, 0, [row], graded_by="old")
  calls = []
  assert grading.grade_again(tmp_path, spy(calls), "old") == 0 and not calls
  assert grading.grade_again(tmp_path, spy(calls), "new") == 1
  assert calls == [(["four"], ["7"], "test", ["why?"])]
  assert store.read(tmp_path).label.tolist() == [4.0]
  assert grading.grade_again(tmp_path, spy(calls), "new") == 0
  assert grading.grade_again(tmp_path, spy(calls), "new", is_forced=True) == 1
