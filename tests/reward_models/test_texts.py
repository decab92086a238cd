"""What reward models read."""

import json

import pytest
import tokenizers
from oracles import reward_models as make

from qsharp_jax import data
from qsharp_jax.core.errors import InputError
from qsharp_jax.reward_models import texts

BOS_TEMPLATE = "<|pad|>" + make.CHATML
TURNS = [
  {"role": "system", "content": "Be brief."},
  {"role": "user", "content": "1+2?"},
  {"role": "assistant", "content": "3"},
  {"role": "user", "content": "3+4?"},
]


@pytest.fixture(scope="module")
def load(tmp_path_factory):
  """Tokenizers with and without a template, one that begins its texts."""
  directory = tmp_path_factory.mktemp("texts")
  model = make.save(directory)

  def found(template, has_bos=False):
    tokenizer = data.tokenizer.load(model).hf
    tokenizer.chat_template = template
    if has_bos:
      tokenizer.bos_token = "<|pad|>"
      processor = tokenizers.processors.TemplateProcessing(
        single="<|pad|> $A", special_tokens=[("<|pad|>", 0)]
      )
      tokenizer.backend_tokenizer.post_processor = processor
    return data.Tokenizer(tokenizer)

  return found


def read(tokenizer, question, answer):
  ids = texts.tokens(tokenizer, question, answer)
  return tokenizer.hf.decode(ids, skip_special_tokens=False)


def test_the_models_own_template_writes_the_conversation(load):
  written = read(load(make.CHATML), json.dumps(TURNS), "7")
  said = [*TURNS, {"role": "assistant", "content": "7"}]
  assert written == "".join(
    f"<|im_start|>{turn['role']}\n{turn['content']}<|end|>\n" for turn in said
  )
  # No turn is opened that nobody fills.
  assert written.count("assistant") == 2


def test_a_question_in_hh_form_becomes_turns(load):
  question = "\n\nHuman: 1+2?\n\nAssistant: 3\n\nHuman: 3+4?\n\nAssistant:"
  own = load(make.CHATML)
  same = json.dumps(TURNS[1:])
  assert texts.tokens(own, question, "7") == texts.tokens(own, same, "7")


def test_without_a_template_the_answer_follows_the_question(load):
  own = load(None)
  assert read(own, "12+3=", "15") == "12+3=15"
  hh = "\n\nHuman: 12+3?\n\nAssistant:"
  assert read(own, hh, " 15") == hh + " 15"
  turns = json.dumps(TURNS[1:])
  expected = "\n\nHuman: 1+2?\n\nAssistant: 3\n\nHuman: 3+4?\n\nAssistant: 7"
  assert read(own, turns, " 7") == expected


@pytest.mark.parametrize("template", [make.CHATML, BOS_TEMPLATE, None])
def test_the_start_token_is_there_once(load, template):
  ids = texts.tokens(load(template, has_bos=True), "12+3?", "15")
  assert ids[0] == 0 and ids[1] != 0
  bare = texts.tokens(load(template and make.CHATML), "12+3?", "15")
  assert ids[1:] == bare


def test_a_conversation_that_the_assistant_ends_is_refused(load):
  with pytest.raises(InputError, match="ends with the assistant"):
    texts.tokens(load(make.CHATML), json.dumps(TURNS[:3]), "7")
