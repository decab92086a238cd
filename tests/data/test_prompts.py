"""Prompts on a tokenizer of characters, which hides nothing."""

import types

import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import prompts

START, END = 1, 2


def tokenizer(*, template=None, end=END, bos=(START,)):
  """One token a character; the template marks a turn by < and >."""

  def chat(turns, *, add_generation_prompt, tokenize):
    assert add_generation_prompt and not tokenize
    (turn,) = turns
    assert turn["role"] == "user"
    return template.format(turn["content"])

  return types.SimpleNamespace(
    bos_ids=list(bos),
    eos_ids=[7, 8],
    encode=lambda text: [ord(c) for c in text],
    hf=types.SimpleNamespace(
      chat_template=template, apply_chat_template=chat, eos_token_id=end
    ),
  )


def text(tokens):
  return "".join(map(chr, tokens))


@pytest.mark.parametrize("bos", [(), (START,)])
def test_a_plain_prompt_starts_with_the_start_token_and_asks(bos):
  found = prompts.render("1 + 1?", tokenizer(bos=bos), style="plain")
  assert found[: len(bos)] == list(bos)
  assert text(found[len(bos) :]) == "Question: 1 + 1?\nAnswer:\n"


def test_a_raw_prompt_is_the_question():
  found = prompts.render("a>b", tokenizer(), style="raw")
  assert found[0] == START and text(found[1:]) == "a>b"


def test_a_chat_prompt_has_one_turn_and_the_templates_own_start():
  found = prompts.render("why?", tokenizer(template="<{}>"), style="chat")
  assert text(found) == f"<why?\n\n{prompts.INSTRUCTION}>"


def test_refuses_another_style_and_a_chat_without_template():
  with pytest.raises(InputError, match="'poem'"):
    prompts.render("why?", tokenizer(), style="poem")
  with pytest.raises(InputError, match="no chat template"):
    prompts.render("why?", tokenizer(), style="chat")


@pytest.mark.parametrize(("end", "last"), [(END, END), (None, 7)])
def test_an_answer_ends_with_an_end_token(end, last):
  found = prompts.completion("42", tokenizer(end=end))
  assert (text(found[:-1]), found[-1]) == ("42", last)
