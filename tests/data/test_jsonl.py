import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import jsonl, records

GOOD = '{"question": "q", "answer": "a"}'


def write(path, *rows):
  path.write_text("\n".join(rows) + "\n", encoding="utf-8")
  return path


def test_jsonl_keeps_order_text_and_line_numbers(tmp_path):
  path = write(
    tmp_path / "few.jsonl",
    '{"question": "1 + 1?", "answer": "#### 2"}',
    "",
    '{"question": "naïve?", "answer": "yes", "level": 3}',
  )
  assert jsonl.read(path) == [
    records.Question("few-1", "1 + 1?", "#### 2"),
    records.Question("few-3", "naïve?", "yes"),
  ]


def test_jsonl_under_other_keys(tmp_path):
  path = write(tmp_path / "m.jsonl", '{"problem": "p", "solution": "s"}')
  (question,) = jsonl.read(path, question_key="problem", answer_key="solution")
  assert (question.question, question.answer) == ("p", "s")


@pytest.mark.parametrize(
  ("bad", "says"),
  [
    ('{"question": "q", "ans', "not JSON"),
    ('{"question": "q"}', "no value under the key 'answer'"),
    ('{"question": 3, "answer": "a"}', "non-text value"),
    ('["q", "a"]', "got list"),
  ],
)
def test_a_bad_line_is_named_in_one_line(tmp_path, bad, says):
  path = write(tmp_path / "bad.jsonl", GOOD, bad)
  with pytest.raises(InputError, match=says) as caught:
    jsonl.read(path)
  assert "bad.jsonl:2" in str(caught.value)
  assert "\n" not in str(caught.value)


def test_empty_missing_or_undecodable_files(tmp_path):
  with pytest.raises(InputError, match="no question"):
    jsonl.read(write(tmp_path / "empty.jsonl", "", " "))
  with pytest.raises(InputError, match="no such file"):
    jsonl.read(tmp_path / "absent.jsonl")
  (tmp_path / "latin.jsonl").write_bytes(b'{"question": "\xe9"}\n')
  with pytest.raises(InputError, match="not UTF-8"):
    jsonl.read(tmp_path / "latin.jsonl")
