"""The tiny GSM8K: what is asked, and what its reference learns from."""

import dataclasses
import json

from qsharp_jax.tasks import gsm8k, reading
from qsharp_jax.tasks.word_problems import WordProblems

TINY = gsm8k.TinyGsm8k(
  WordProblems(num_steps=(1, 1), max_value=6),
  num_train=300,
  num_test=200,
  num_corpus=500,
  mistake_rate=0.3,
  vocab_size=300,
)


def texts(questions):
  return [question.question for question in questions]


def test_no_question_of_test_is_learnt_from(tmp_path):
  found = TINY.questions()
  assert (len(found["train"]), len(found["test"])) == (300, 200)
  corpus, _ = TINY.corpus(tmp_path)
  assert len(corpus) == 500
  assert not set(texts(found["test"])) & set(texts([*found["train"], *corpus]))


def test_only_the_corpus_has_mistakes(tmp_path):
  def num_wrong(questions):
    return sum(eval(q.answer.split("=")[0]) != final(q) for q in questions)

  final = lambda q: int(q.answer.rpartition("#### ")[2])
  found = TINY.questions()
  assert num_wrong(found["train"]) == num_wrong(found["test"]) == 0
  corpus, _ = TINY.corpus(tmp_path)
  assert 100 < num_wrong(corpus) < 200


def test_everything_follows_from_the_seed(tmp_path):
  other = dataclasses.replace(TINY, seed=7)
  assert TINY.questions() == TINY.questions()
  assert TINY.questions()["test"] != other.questions()["test"]
  # What one seed trains on is not what its neighbour is tested on.
  asked = lambda seed: dataclasses.replace(TINY, seed=seed).questions()
  for near in (1, 2):
    assert texts(asked(0)["train"])[:50] != texts(asked(near)["test"])[:50]
  assert TINY.corpus(tmp_path)[0] == TINY.corpus(tmp_path)[0]


def test_the_tokenizer_is_of_the_corpus_and_is_written(tmp_path):
  corpus, tokenizer = TINY.corpus(tmp_path)
  assert tokenizer.vocab_size <= 300
  assert (
    tokenizer.decode(tokenizer.encode(corpus[0].answer)) == corpus[0].answer
  )
  assert (tmp_path / "tokenizer.json").exists()


def test_other_questions_may_be_asked(tmp_path):
  row = {"question": "1 + 1?", "answer": "#### 2"}
  for split in ("train", "test"):
    row["question"] = f"1 + 1 in {split}?"
    (tmp_path / f"{split}.jsonl").write_text(json.dumps(row))
  read = reading.Reading(f"jsonl:{tmp_path}")
  asked = dataclasses.replace(TINY, read=read)
  assert asked.questions() == read.questions()
  assert texts(asked.questions()["train"]) == ["1 + 1 in train?"]
