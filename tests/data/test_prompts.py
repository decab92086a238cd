"""Prompts on a tokenizer of characters, which hides nothing."""

import types

import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import prompts

START, END = 1, 2


def tokenizer(*, template=None, end=END, bos=(START,)):
  """One token a character; the template marks a turn by < and >."""

  def chat(turns, *, add_generation_prompt, tokenize, **extra):
    assert add_generation_prompt and not tokenize
    said = "".join(f"<{t['role'][0]}:{t['content']}>" for t in turns)
    return template.format(said, **extra)

  return types.SimpleNamespace(
    bos_ids=list(bos),
    eos_ids=[7, 8],
    encode=lambda text: [ord(c) for c in text],
    hf=types.SimpleNamespace(
      chat_template=template,
      get_chat_template=lambda: template,
      special_tokens_map={},
      apply_chat_template=chat,
      eos_token_id=end,
    ),
  )


def text(tokens):
  return "".join(map(chr, tokens))


@pytest.mark.parametrize("bos", [(), (START,)])
def test_a_plain_prompt_starts_with_the_start_token_and_asks(bos):
  found = prompts.render("1 + 1?", tokenizer(bos=bos), prompts.Form("plain"))
  assert found[: len(bos)] == list(bos)
  assert text(found[len(bos) :]) == "Question: 1 + 1?\nAnswer:\n"


def test_a_raw_prompt_is_the_question():
  found = prompts.render("a>b", tokenizer(), prompts.Form("raw"))
  assert found[0] == START and text(found[1:]) == "a>b"


def test_a_chat_prompt_has_one_turn_and_the_templates_own_start():
  found = prompts.render(
    "why?", tokenizer(template="T{}"), prompts.Form("chat")
  )
  assert text(found) == "T<u:why?>"


TURNS = (
  '[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},'
  ' {"role": "user", "content": "c"}]'
)
HH = "\n\nHuman: a\n\nAssistant: b\n\nHuman: c"


@pytest.mark.parametrize("question", [TURNS, HH, HH + "\n\nAssistant:"])
def test_several_turns_by_template_and_by_text(question):
  chat = prompts.Form("chat", instruction="Think.", system="Be kind.")
  found = prompts.render(question, tokenizer(template="{}!"), chat)
  assert text(found) == "<s:Be kind.><u:a><a:b><u:c\n\nThink.>!"
  found = prompts.render(question, tokenizer(), prompts.Form("hh"))
  assert found[0] == START and text(found[1:]) == HH + "\n\nAssistant:"


def test_the_text_form_of_a_lone_question_and_what_is_added_to_it():
  form = prompts.Form("hh", instruction="Think.", system="Be kind.")
  found = prompts.render("why?", tokenizer(bos=()), form)
  assert text(found) == ("Be kind.\n\nHuman: why?\n\nThink.\n\nAssistant:")


def test_a_conversation_keeps_its_own_system_message():
  question = (
    '[{"role": "system", "content": "own"}, {"role": "user", "content": "c"}]'
  )
  form = prompts.Form("chat", system="other")
  found = prompts.render(question, tokenizer(template="{}"), form)
  assert text(found) == "<s:own><u:c>"


def test_arguments_reach_a_template_that_reads_them():
  own = tokenizer(template="{}{thinking}")
  form = prompts.Form("chat", template_kwargs={"thinking": "off"})
  assert text(prompts.render("c", own, form)) == "<u:c>off"
  for name in ("thinkin", "tokenize"):
    form = prompts.Form("chat", template_kwargs={name: "off"})
    with pytest.raises(InputError, match=name):
      prompts.render("c", own, form)


def test_refuses_another_style_and_a_chat_without_template():
  with pytest.raises(InputError, match="'poem'"):
    prompts.render("why?", tokenizer(), prompts.Form("poem"))
  with pytest.raises(InputError, match="no chat template"):
    prompts.render("why?", tokenizer(), prompts.Form("chat"))


@pytest.mark.parametrize(("end", "last"), [(END, END), (None, 7)])
def test_an_answer_ends_with_an_end_token(end, last):
  found = prompts.completion("42", tokenizer(end=end))
  assert (text(found[:-1]), found[-1]) == ("42", last)
