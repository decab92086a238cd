r"""Questions of several turns: as messages, as JSON, as HH-RLHF writes them.

A question is one text wherever it travels (stores, rewards, splits). Of a lone
user turn it is what the user says; of a conversation it is the JSON of its
messages, or HH-RLHF's own text, "\n\nHuman: …\n\nAssistant: …\n\nHuman: …".
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from qsharp_jax.core import errors
from qsharp_jax.core.errors import InputError

Message = Mapping[str, str]  # "role" and "content"

HUMAN, ASSISTANT = "\n\nHuman:", "\n\nAssistant:"
_TURN = re.compile(f"({re.escape(HUMAN)}|{re.escape(ASSISTANT)})")


def read(question: str) -> list[Message]:
  """The messages of a question, in any of its forms.

  Raises:
    InputError: a conversation that nobody can answer, see `check`.
  """
  if question.startswith(HUMAN):
    return check(_read_hh(question))
  if question.lstrip().startswith("[{"):
    try:
      found = json.loads(question)
    except (ValueError, RecursionError):
      found = None  # a question that only begins like one
    if isinstance(found, list) and all(_is_message(turn) for turn in found):
      return check(found)
  return [{"role": "user", "content": question}]


def write(messages: Any) -> str:
  """The text of a conversation, from which `read` makes the same messages.

  Raises:
    InputError: no list of messages, or one that nobody can answer.
  """
  turns = check(messages)
  only = turns[0]["content"]
  lone = [{"role": "user", "content": only}]
  if turns == lone and read(only) == lone:
    return only
  return json.dumps(turns, ensure_ascii=False)


def check(messages: Any) -> list[Message]:
  """Messages of which the last one waits for an answer.

  Args:
    messages: maybe a system message, then user and assistant in turn.

  Returns:
    The messages, with nothing but role and content.

  Raises:
    InputError: no list of messages, roles out of order, or the assistant has
      the last word.
  """
  if not isinstance(messages, list | tuple) or not messages:
    raise InputError(
      f"a question is {errors.short(messages, 80)}; expected a text, or a list "
      'of messages such as {"role": "user", "content": "…"}'
    )
  for turn in messages:
    if not _is_message(turn):
      raise InputError(
        f"a message is {errors.short(turn, 80)}; expected an object with "
        '"role" and "content", both texts'
      )
  roles = [turn["role"] for turn in messages]
  wanted = _in_turn(roles)
  if roles != wanted:
    raise InputError(
      f"the roles of a conversation are {errors.short(', '.join(roles))}; "
      "expected maybe system, then user and assistant in turn, the user first"
    )
  if roles[-1] != "user":
    raise _last_word(f"the {roles[-1]}")
  return [{"role": t["role"], "content": t["content"]} for t in messages]


def hh(messages: Sequence[Message]) -> str:
  """A conversation as HH-RLHF writes it, up to where the answer starts.

  A system message, of which that form knows nothing, comes first, bare.
  """
  marks = {"system": "", "user": f"{HUMAN} ", "assistant": f"{ASSISTANT} "}
  turns = [marks[turn["role"]] + turn["content"] for turn in messages]
  return "".join(turns) + ASSISTANT


def open_hh(text: str) -> str:
  """HH-RLHF's text with the mark of the next answer; all else as it is.

  Nothing is asked of the order of its turns: some of its users speak twice.

  Raises:
    InputError: the assistant has the last word.
  """
  *_, mark, said = _TURN.split(text)
  if mark == HUMAN:
    return text + ASSISTANT
  if said.strip():
    raise _last_word("the assistant")
  return text.rstrip()


def _read_hh(text: str) -> list[Message]:
  """Turns of HH-RLHF's text, with or without the mark of the next answer."""
  _, *parts = _TURN.split(text)
  roles = {HUMAN: "user", ASSISTANT: "assistant"}
  turns = [
    {"role": roles[mark], "content": said.removeprefix(" ")}
    for mark, said in zip(parts[::2], parts[1::2], strict=True)
  ]
  if turns[-1]["role"] == "assistant" and not turns[-1]["content"].strip():
    turns.pop()
  return turns


def _last_word(whose: str) -> InputError:
  return InputError(
    f"a conversation ends with {whose}; expected a user's turn at the end, "
    "which is to be answered: drop what follows it"
  )


def _is_message(turn: Any) -> bool:
  return isinstance(turn, Mapping) and all(
    isinstance(turn.get(key), str) for key in ("role", "content")
  )


def _in_turn(roles: Sequence[str]) -> list[str]:
  """The roles that as many messages may have."""
  first = [role for role in roles[:1] if role == "system"]
  rest = len(roles) - len(first)
  return first + [("user", "assistant")[i % 2] for i in range(rest)]
