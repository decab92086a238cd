"""The forms in which data sets write preferences; see `data.preferences`."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from qsharp_jax.core import errors
from qsharp_jax.core.errors import InputError
from qsharp_jax.data import conversations, records

# Of ranked answers: the best beside the worst; the best beside each other one;
# or every better one beside every worse one.
Choice = Literal["ends", "best", "all"]

# Question, chosen and rejected answer, margin.
Fields = tuple[str, str, str, float | None]


def read(row: Mapping[str, Any], choice: Choice) -> list[Fields]:
  """All preferences of a row.

  Args:
    row: in one of the forms that `data.preferences` lists.
    choice: of the pairs of ranked answers.

  Raises:
    InputError: a row of another form, a conversation that nobody can answer,
      or answers that do not differ.
  """
  if "answers" in row and "prompt" in row:
    return _ranked(_question(row["prompt"]), _nectar(row), choice)
  if "instruction" in row and "completions" in row:
    return _ranked(_question(row["instruction"]), _scored(row), choice)
  if "chosen" in row and "rejected" in row:
    return [(*_pair(row), _margin(row))]
  raise InputError(
    f"no preference under the keys {errors.short(sorted(map(str, row)), 300)}; "
    "expected chosen and rejected, prompt and ranked answers, or instruction "
    "and completions with scores"
  )


def _pair(row: Mapping[str, Any]) -> tuple[str, str, str]:
  """Question and two answers of TRL's and HH-RLHF's forms."""
  both = [_plain(row[key]) for key in ("chosen", "rejected")]
  kinds = {type(x) for x in both}
  if kinds == {str}:
    question, *answers = _of_texts(row.get("prompt"), *both)
  elif kinds == {list}:
    question, *answers = _of_messages(_plain(row.get("prompt")), *both)
  else:
    raise InputError(
      f"chosen is {errors.short(row['chosen'], 60)} and rejected "
      f"{errors.short(row['rejected'], 60)}; expected two texts, or two lists "
      "of messages"
    )
  if answers[0] == answers[1]:
    raise InputError(
      f"chosen and rejected are both {errors.short(answers[0], 60)}; expected "
      "answers that differ: drop the row"
    )
  return question, *answers


def _of_texts(prompt: Any, chosen: str, rejected: str) -> tuple[str, str, str]:
  if prompt is not None:
    return _question(prompt), chosen, rejected
  if chosen.startswith(conversations.HUMAN):
    (question, chosen), (other, rejected) = map(_split_hh, (chosen, rejected))
    if question != other:
      raise InputError(
        "chosen and rejected answer different dialogues; expected equal texts "
        f"up to the last {conversations.ASSISTANT!r}"
      )
    return _question(question), chosen, rejected
  cut = _num_common(chosen, rejected)
  # A space between prompt and answers is the answers'.
  cut -= cut > 0 and chosen[cut - 1] == " "
  if not cut:
    raise InputError(
      "there is no prompt, and chosen and rejected do not begin alike; "
      "expected a prompt, or texts that begin with it"
    )
  return chosen[:cut], chosen[cut:], rejected[cut:]


def _split_hh(text: str) -> tuple[str, str]:
  question, mark, answer = text.rpartition(conversations.ASSISTANT)
  if not mark:
    raise InputError(
      f"a dialogue has no {conversations.ASSISTANT!r}; expected one before the "
      "answer"
    )
  return question + mark, answer


def _of_messages(
  prompt: str | list | None, chosen: list, rejected: list
) -> tuple[str, str, str]:
  if isinstance(prompt, list):
    return (
      conversations.write(prompt), _answer(chosen), _answer(rejected)
    )  # fmt: skip
  cut = _num_common(chosen[:-1], rejected[:-1])
  if isinstance(prompt, str) and not cut:  # answers alone
    return _question(prompt), _answer(chosen), _answer(rejected)
  question = conversations.write(chosen[:cut])
  last = conversations.read(question)[-1]["content"]
  if isinstance(prompt, str) and prompt.strip() not in (
    last.strip(),
    chosen[0].get("content", "").strip(),
  ):
    raise InputError(
      f"the prompt is {errors.short(prompt, 60)}, and chosen begins with the "
      f"question {errors.short(last, 60)}; expected one and the same"
    )
  return question, _answer(chosen[cut:]), _answer(rejected[cut:])


def _answer(messages: list) -> str:
  """The one message of an assistant that answers."""
  is_one = len(messages) == 1 and isinstance(messages[0], Mapping)
  turn = messages[0] if is_one else {}
  if turn.get("role") != "assistant" or not isinstance(
    turn.get("content"), str
  ):
    roles = [x.get("role") if isinstance(x, Mapping) else x for x in messages]
    raise InputError(
      f"the answer has the roles {errors.short(roles, 60)}; expected one "
      "message of the assistant after a prompt that chosen and rejected share"
    )
  return turn["content"]


def _nectar(row: Mapping[str, Any]) -> list[tuple[str, float]]:
  """Answers with numbers that are higher for better ones."""
  return [
    (records.text(answer, "answer"), -_number(answer, "rank"))
    for answer in _objects(row, "answers")
  ]


def _scored(row: Mapping[str, Any]) -> list[tuple[str, float]]:
  return [
    (records.text(x, "response"), _number(x, "overall_score"))
    for x in _objects(row, "completions")
  ]


def _ranked(
  question: str, answers: list[tuple[str, float]], choice: Choice
) -> list[Fields]:
  """Pairs of answers with numbers, higher for better; see `Choice`."""
  order = sorted(answers, key=lambda answer: -answer[1])
  pairs = itertools.combinations(order, 2)
  if choice == "ends":
    pairs = iter([(order[0], order[-1])] if order else [])
  elif choice == "best":
    pairs = ((order[0], other) for other in order[1:])
  elif choice != "all":
    raise InputError(
      f"the choice of pairs is {errors.short(choice)}; expected ends, best or "
      "all"
    )
  return [
    (question, better, worse, high - low)
    for (better, high), (worse, low) in pairs
    if high > low and better != worse
  ]


def _margin(row: Mapping[str, Any]) -> float | None:
  """What the row says of it: `margin`, or two scores."""
  if row.get("margin") is not None:
    return _number(row, "margin")
  names = ("score_chosen", "score_rejected")
  if any(row.get(name) is None for name in names):
    return None
  chosen, rejected = (_number(row, name) for name in names)
  if chosen < rejected:
    raise InputError(
      f"score_chosen is {chosen:g} and score_rejected {rejected:g}; expected "
      "the first not to be lower: exchange them, or drop the row"
    )
  return chosen - rejected


def _question(prompt: Any) -> str:
  """A prompt as the text of a question, which somebody can answer."""
  prompt = _plain(prompt)
  if isinstance(prompt, list):
    return conversations.write(prompt)
  if not isinstance(prompt, str):
    raise InputError(
      f"the prompt is {errors.short(prompt, 60)}; expected a text or a list of "
      "messages"
    )
  if prompt.startswith(conversations.HUMAN):
    return conversations.open_hh(prompt)
  conversations.read(prompt)
  return prompt


def _objects(row: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
  found = _plain(row[key])
  if not isinstance(found, list) or not all(
    isinstance(x, Mapping) for x in found
  ):
    raise InputError(
      f"{key} is {errors.short(row[key], 60)}; expected a list of objects"
    )
  return found


def _number(row: Mapping[str, Any], key: str) -> float:
  value = row.get(key)
  is_number = isinstance(value, int | float) and not isinstance(value, bool)
  if not is_number or not math.isfinite(value):
    raise InputError(
      f"{key} is {errors.short(value, 60)}; expected a finite number"
    )
  return float(value)


def _plain(value: Any) -> Any:
  """Lists as lists, whatever sequence a file's reader made of them."""
  return list(value) if isinstance(value, tuple) else value


def _num_common(first: Sequence, second: Sequence) -> int:
  """Entries that two sequences begin with in common."""
  both = zip(first, second, strict=False)
  return next(
    (i for i, (x, y) in enumerate(both) if x != y),
    min(len(first), len(second)),
  )
