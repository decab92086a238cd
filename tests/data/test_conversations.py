import json

import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import conversations


def turns(*pairs):
  return [{"role": role, "content": content} for role, content in pairs]


LONG = turns(("user", "a"), ("assistant", "b"), ("user", "c"))


@pytest.mark.parametrize(
  ("question", "messages"),
  [
    ("Why?", turns(("user", "Why?"))),
    ("", turns(("user", ""))),
    ("[{ is a bracket", turns(("user", "[{ is a bracket"))),
    ('[{"a": 1}]', turns(("user", '[{"a": 1}]'))),
    (json.dumps(LONG), LONG),
    ("\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:", LONG),
    ("\n\nHuman: a\n\nAssistant: b\n\nHuman: c", LONG),
    ("\n\nHuman:a\n\nb\n\nAssistant: ", turns(("user", "a\n\nb"))),
    ("Human: a", turns(("user", "Human: a"))),  # begins like any text
  ],
)
def test_reads_every_form(question, messages):
  assert conversations.read(question) == messages


@pytest.mark.parametrize(
  "messages",
  [
    LONG,
    turns(("system", "s"), *[("user", "a"), ("assistant", ""), ("user", "数")]),
    turns(("user", "Why?")),
    turns(("user", "\n\nHuman: quoted")),
    turns(("user", json.dumps(LONG))),
  ],
)
def test_what_is_written_is_read(messages):
  assert conversations.read(conversations.write(messages)) == messages


def test_a_lone_turn_is_written_as_it_is():
  assert conversations.write(turns(("user", "Why?"))) == "Why?"


def test_fields_beyond_role_and_content_are_left_out():
  (found,) = conversations.read(
    json.dumps([{"role": "user", "content": "a", "name": "Ann"}])
  )
  assert found == {"role": "user", "content": "a"}


@pytest.mark.parametrize(
  ("messages", "says"),
  [
    ([], "a list of messages"),
    ("Why?", "a list of messages"),
    (None, "a list of messages"),
    ([1], "a message is 1"),
    ([{"role": "user"}], "a message is"),
    ([{"role": "user", "content": None}], "a message is"),
    (LONG[:2], "ends with the assistant"),
    (turns(("system", "s")), "ends with the system"),
    (LONG[1:], "are 'assistant, user'; expected"),
    (turns(("user", "a"), ("user", "b")), "are 'user, user'"),
    (turns(("user", "a"), ("system", "b")), "are 'user, system'"),
    (turns(("tool", "a")), "are 'tool'"),
  ],
)
def test_refuses_what_nobody_can_answer(messages, says):
  with pytest.raises(InputError, match=says) as error:
    conversations.write(messages)
  assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
  "text", ["\n\nHuman: a\n\nAssistant: b", "\n\nHuman: a\n\nHuman: b"]
)
def test_refuses_texts_that_nobody_can_answer(text):
  with pytest.raises(InputError):
    conversations.read(text)


def test_hh_text_by_hand():
  assert conversations.hh(
    turns(("system", "s"), *map(tuple, [("user", "a")]))
  ) == ("s\n\nHuman: a\n\nAssistant:")


def test_hh_text_that_is_there_stays_and_is_opened():
  twice = "\n\nHuman: a \n\nHuman: b"  # some users speak twice
  assert conversations.open_hh(twice) == twice + "\n\nAssistant:"
  whole = "\n\nHuman: a\n\nAssistant:"
  assert conversations.open_hh(whole) == whole
  with pytest.raises(InputError, match="the assistant"):
    conversations.open_hh(whole + " b")
