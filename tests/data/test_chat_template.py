import datetime
import sys
import time

import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import (
  chat_template,
  new_tokenizers,
  prompts,
  template_trial,
  tokenizer,
)

PLAIN = "{{ messages[0]['content'] }}"
DATED = "{{ strftime_now('%d %b %Y') }}: " + PLAIN
# As in Llama 3.1: the date of today unless one is given.
LLAMA = (
  "{%- if not date_string is defined %}{%- if strftime_now is defined %}"
  "{%- set date_string = strftime_now('%d %b %Y') %}{%- else %}"
  "{%- set date_string = '26 Jul 2024' %}{%- endif %}{%- endif %}"
  "Today is {{ date_string }}. " + PLAIN
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp("tokenizer")
  new_tokenizers.train_byte_level_bpe(
    ["a b c"], vocab_size=258, directory=folder
  )
  return folder


@pytest.fixture
def own(folder):
  return tokenizer.load(folder)


@pytest.fixture(autouse=True)
def _untried(monkeypatch):
  """Spares each template its process; tests/data/test_template_trial.py."""
  monkeypatch.setattr(template_trial, "check", lambda *_: None)


def text(own, template, question="How many?"):
  own.hf.chat_template = template
  return own.hf.decode(prompts.render(question, own, prompts.Form("chat")))


@pytest.mark.parametrize(
  "question", ["How many?", "  two\n\nlines ", "数学", ""]
)
def test_the_message_is_what_transformers_makes_of_it(own, question):
  template = "<|u|>{{ messages[0]['content'] | trim }}<|a|>"
  wanted = question.strip()
  assert text(own, template, question) == f"<|u|>{wanted}<|a|>"


@pytest.mark.parametrize(
  ("template", "says"),
  [
    (None, "has no chat template"),
    ("", "has no chat template"),
    ("{{ raise_exception('only tools') }}", r"fails \(only tools\)"),
    ("{% if %}", "fails"),
    ("{{ messages[0]['content'].nothing.more }}", "fails"),
    ("{{ messages[7]['content'] }}", "fails|drops the question"),
    ("{{ 1 // 0 }}", "fails"),
    ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "fails .nested too"),
    ("{{ ''.__class__.__mro__ }}" + PLAIN, "fails"),
    ("{% for i in range(10 ** 9) %}{% endfor %}" + PLAIN, "fails"),
    ("<|assistant|>", "drops the question: it makes '<|assistant|>' of 'How"),
    ("{{ messages[0]['role'] }}", "drops the question"),
    ("{{ messages[0]['content'][:5] }}", "drops the question"),
    ("{{ messages[0]['content'] | upper }}", "drops the question"),
    ("{{ ['a', 'b'] | random }}" + PLAIN, "draws random numbers"),
    ("{{ lipsum() }}" + PLAIN, "draws random numbers"),
  ],
)
def test_templates_that_cannot_be_used(own, template, says):
  with pytest.raises(InputError, match=says) as error:
    text(own, template)
  assert len(str(error.value).splitlines()) == 1
  assert "plain" in str(error.value)


def test_a_template_that_does_not_end(own):
  loops = "{% for i in range(99999) %}"
  template = 3 * loops + "{% set x = i %}" + 3 * "{% endfor %}" + PLAIN
  start = time.monotonic()
  with pytest.raises(InputError, match="does not end within 1000000 steps"):
    text(own, template)
  assert time.monotonic() - start < 30


def test_a_long_template_ends(own):
  template = "{% for i in range(20000) %}{{ i }}{% endfor %}" + PLAIN
  assert "19999How many?" in text(own, template)


def test_the_trace_of_a_debugger_is_given_back(own):
  def trace(*arguments):
    return None

  before = sys.gettrace()
  sys.settrace(trace)
  try:
    text(own, PLAIN)
    assert sys.gettrace() is trace
  finally:
    sys.settrace(before)


@pytest.mark.parametrize("template", [DATED, LLAMA])
def test_the_date_is_pinned_and_said_once(own, template, caplog):
  assert "26 Jul 2024" in text(own, template)
  assert "26 Jul 2024" in text(own, template, "And now?")
  said = [m for m in caplog.messages if "today's date" in m]
  assert len(said) == 1 and "26 July 2024" in said[0]


def test_the_clock_of_transformers_is_given_back(own):
  from transformers.utils import chat_template_utils

  text(own, DATED)
  with pytest.raises(InputError):
    text(own, DATED + "{{ raise_exception('odd') }}")
  assert chat_template_utils.datetime is datetime.datetime
  year = str(datetime.datetime.now().year)
  own.hf.chat_template = "{{ strftime_now('%Y') }}"
  turns = [{"role": "user", "content": "a"}]
  assert own.hf.apply_chat_template(turns, tokenize=False) == year


def test_a_date_that_cannot_be_pinned_is_refused(own, monkeypatch):
  from transformers.utils import chat_template_utils

  monkeypatch.setattr(chat_template_utils, "datetime", object())
  assert text(own, PLAIN)
  with pytest.raises(InputError, match="cannot be pinned"):
    text(own, DATED)


def test_nothing_is_said_of_templates_without_a_date(own, caplog):
  assert text(own, PLAIN).startswith("How many?")
  assert caplog.messages == []
  assert datetime.datetime(2024, 7, 26) == chat_template.TODAY


@pytest.mark.parametrize(
  ("template", "says"),
  [
    (PLAIN, "drops the question"),  # the last turn is missing
    ("{{ messages[-1]['content'] }}", "drops the system message"),
    (
      "{% if messages[0]['role'] == 'system' %}"
      "{{ raise_exception('System role not supported') }}{% endif %}",
      "System role not supported",
    ),
  ],
)
def test_templates_that_drop_a_turn(own, template, says):
  own.hf.chat_template = template
  turns = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "How many?"},
  ]
  with pytest.raises(InputError, match=says):
    chat_template.render(own.hf, turns)


def test_thinking_is_switched_off(own):
  own.hf.chat_template = PLAIN + (
    "{% if enable_thinking is defined and not enable_thinking %}<think></think>"
    "{% endif %}"
  )
  form = prompts.Form("chat", template_kwargs={"enable_thinking": False})
  found = own.hf.decode(prompts.render("How many?", own, form))
  assert found == "How many?<think></think>"
  assert text(own, own.hf.chat_template) == "How many?"
