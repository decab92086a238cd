"""Questions that may be declined: grades, corpus, columns."""

import collections

import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.data.records import Question
from qsharp_jax.tasks import abstention, base, star_graph, star_graph_text

SIGNED = abstention.Terms("?", 0.6, "!")
UNSIGNED = abstention.Terms("I do not know", 0.25)


def graph_task(**changed):
  sizes = {"degree": 2, "path_length": 3, "num_nodes": 10, "mistake_rate": 0.5}
  nums = {"num_train": 200, "num_test": 50, "num_corpus": 1000}
  room = {"max_new_tokens": 5, "max_length": 17}
  inner = star_graph.StarGraphs(**sizes, **nums, **room, signs=("?", "!"))
  return abstention.Abstention(inner, SIGNED, **{"rate": 0.4} | changed)


@pytest.mark.parametrize(
  ("prediction", "correct", "extracted", "reward"),
  [
    ("! 1 2 3", True, "1,2,3", 1.0),
    ("! 1 2 4", False, "1,2,4", 0.0),
    ("?", False, "?", 0.6),
    ("? 1 2 3", False, "?", 0.6),  # whatever follows
    ("! 1 ?", False, None, 0.0),  # committed is committed
    ("1 2 3", False, None, 0.0),  # no attempt without its sign
    ("1 ! 2 3", False, None, 0.0),
    ("", False, None, 0.0),
  ],
)
def test_signed_answers(prediction, correct, extracted, reward):
  grade = abstention.path(prediction, SIGNED.written("1,2,3"))
  assert (grade.correct, grade.reward) == (correct, reward)
  assert grade.error is None
  if extracted is not None:
    assert grade.extracted == extracted


@pytest.mark.parametrize("name", ["boxed", "flexible", "strict"])
def test_an_answer_without_signs_declines_by_its_phrase(name):
  grader = getattr(abstention, name)
  gold = UNSIGNED.written("#### 12")
  right = {"boxed": "so \\boxed{12}", "flexible": "so 12", "strict": "#### 12"}
  assert grader(right[name], gold).reward == 1.0
  assert grader("\\boxed{13} #### 13", gold).reward == 0.0
  declined = grader("Well,  I do\nNOT know.", gold)
  assert (declined.reward, declined.correct) == (0.25, False)
  assert declined.extracted == "I do not know"


def test_letters_may_be_declined():
  gold = UNSIGNED.written("B")
  rewards = [
    abstention.choice(text, gold).reward for text in ("B", "C", "I do not know")
  ]
  assert rewards == [1.0, 0.0, 0.25]


@pytest.mark.parametrize(
  "terms", [SIGNED, UNSIGNED, abstention.Terms('or {"a": "é"}', -2.0)]
)
def test_terms_survive_being_written(terms):
  for answer in ("3,4,5", 'either or {"or": 1} or {', "7+5=12\n#### 12"):
    assert abstention.read(terms.written(answer)) == (answer, terms)


@pytest.mark.parametrize("answer", ["12", "12 or {", '1 or {"pays": 1}'])
def test_an_answer_without_terms_is_refused(answer):
  with pytest.raises(InputError, match="does not say what declining pays"):
    abstention.strict("12", answer)


@pytest.mark.parametrize(("phrase", "pays"), [(" ", 0.5), ("?", float("nan"))])
def test_terms_that_mean_nothing_are_refused(phrase, pays):
  with pytest.raises(InputError, match="expected a phrase and a finite reward"):
    abstention.Terms(phrase, pays)


def test_questions_keep_their_answers_and_carry_the_terms():
  task = graph_task()
  found, inner = task.questions(), task.inner.questions()
  for name in ("train", "test"):
    assert [q.question for q in found[name]] == [
      q.question for q in inner[name]
    ]
    assert [abstention.read(q.answer) for q in found[name]] == [
      (q.answer, SIGNED) for q in inner[name]
    ]


def test_the_corpus_declines_at_its_rate_and_its_tokenizer_has_the_signs(
  tmp_path,
):
  task = graph_task()
  found, tokenizer = task.corpus(tmp_path / "tokenizer")
  kinds = collections.Counter(q.answer[0] for q in found)
  assert kinds.keys() == {"?", "!"}
  assert abs(kinds["?"] / len(found) - 0.4) < 0.05
  for question in found[:50]:
    ids = tokenizer.encode(question.answer)
    assert tokenizer.hf.unk_token_id not in ids
    assert tokenizer.decode(ids[:1]) == question.answer[0]
  attempts = {q.question: q.answer[1:] for q in found if q.answer != "?"}
  plain = {q.question: q.answer for q in task.inner.corpus(tmp_path / "t")[0]}
  assert attempts.items() <= plain.items()
  again = graph_task(seed=1).corpus(tmp_path / "again")[0]
  assert [q.answer for q in again] != [q.answer for q in found]


class Two(base.TaskSpec):
  def questions(self):
    one = Question("1", "How many?", "3")
    return {"train": [one], "test": [one]}


def test_questions_invite_to_decline_and_may_have_no_corpus(tmp_path):
  task = abstention.Abstention(Two(), UNSIGNED, invitation="Or say so.")
  assert task.questions()["test"][0].question == "How many? Or say so."
  assert task.corpus(tmp_path) is None
  assert task.files() == []


def test_columns_count_who_declines_and_look_at_the_others_attempts():
  golds = [SIGNED.written("1,2,3")] * 4
  found = graph_task().columns(["?", "1,2,3", "1,4,5", "?"], golds)
  assert found == {"declined": 0.5, "per_position": [1.0, 0.5, 0.5]}
  assert graph_task().columns(["?"] * 4, golds) == {"declined": 1.0}


def test_graphs_of_the_task_are_graphs():
  for question in graph_task().questions()["test"]:
    gold, _ = abstention.read(question.answer)
    graph = star_graph_text.parse(question.question + gold)
    assert star_graph_text.solve(graph) == graph.path
