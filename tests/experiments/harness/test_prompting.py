import ml_collections
import pytest
from oracles import pieces

from experiments.configs import base, gsm8k, star_graph
from experiments.harness import prompting
from qsharp_jax import data
from qsharp_jax.core.errors import InputError


def test_the_box_is_asked_for_in_mathematics_alone():
  assert prompting.form(gsm8k.get_config("llama3_8b")).instruction == base.BOXED
  assert not prompting.form(star_graph.get_config("tiny")).instruction


def test_runs_of_earlier_versions_asked_for_the_box():
  old = ml_collections.ConfigDict({"data": {"prompt": "chat"}})
  assert prompting.form(old) == data.prompts.Form("chat", base.BOXED)


def test_a_wrong_question_is_named():
  config = ml_collections.ConfigDict({"data": {"prompt": "hh"}})
  tokenizer = pieces.tokenizer(["a"])
  tokenizer.bos_ids = ()
  splits = {
    "train": [data.Question("q-1", "a", "b")],
    "test": [data.Question("q-2", "\n\nHuman: a\n\nAssistant: a", "")],
  }
  with pytest.raises(InputError, match="question q-2: a conversation ends"):
    prompting.problems(config, splits, tokenizer)
