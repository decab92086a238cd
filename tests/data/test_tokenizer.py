import json
import subprocess
import sys

import numpy as np
import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import prompts, tokenizer
from qsharp_jax.tasks.word_problems import WordProblems

TEMPLATE = (
  "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>"
  "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture(scope="module")
def corpus():
  questions = WordProblems().generate(1500, seed=0)
  return [f"Question: {q.question}\nAnswer:\n{q.answer}" for q in questions]


@pytest.fixture(scope="module")
def folder(corpus, tmp_path_factory):
  folder = tmp_path_factory.mktemp("tokenizer")
  tokenizer.train_byte_level_bpe(corpus, vocab_size=448, directory=folder)
  return folder


@pytest.fixture
def own(folder):
  return tokenizer.load(folder)


@pytest.mark.parametrize(
  "text",
  ["", "Ann has 7 pens.", "  a\n\n\tb ", "数学 naïve 🙂", "x" * 300, "1234567"],
)
def test_round_trip(own, text):
  ids = own.encode(text)
  assert own.decode(ids) == text
  assert own.decode(np.asarray(ids, np.int32)) == text


def test_specials_are_neither_added_nor_shown(own):
  ids = own.encode("7 + 5 = 12")
  assert own.pad_id not in ids and not set(own.eos_ids) & set(ids)
  assert own.decode([*ids, own.eos_ids[0], own.pad_id]) == "7 + 5 = 12"
  assert (own.pad_id, own.eos_ids, own.bos_ids) == (0, (1,), ())


def test_numbers_are_single_tokens_with_and_without_their_space(own):
  for number in range(1, 10):
    (alone,) = own.encode(str(number))
    (spaced,) = own.encode(f" {number}")
    assert alone != spaced
    assert own.encode(f"7+5={number}\n").count(alone) >= 1


def test_vocab_size_bounds_every_id(own, corpus):
  assert 258 <= own.vocab_size <= 448
  assert max(max(own.encode(text)) for text in corpus[:100]) < own.vocab_size


def test_training_is_deterministic(own, corpus, tmp_path):
  again = tokenizer.train_byte_level_bpe(
    corpus, vocab_size=448, directory=tmp_path
  )
  assert again.fingerprint() == own.fingerprint()


def test_too_small_a_vocabulary(tmp_path):
  with pytest.raises(InputError, match="258"):
    tokenizer.train_byte_level_bpe(["a"], vocab_size=100, directory=tmp_path)


def test_check_same(own, folder, corpus, tmp_path):
  tokenizer.check_same(own, tokenizer.load(folder))
  other = tokenizer.train_byte_level_bpe(
    corpus, vocab_size=300, directory=tmp_path
  )
  with pytest.raises(InputError, match="tokenizers differ"):
    tokenizer.check_same(own, other)


def test_check_same_allows_more_specials_but_not_moved_ones(own, folder):
  more = tokenizer.load(folder)
  more.hf.add_special_tokens({"additional_special_tokens": ["<|x|>", "<|y|>"]})
  tokenizer.check_same(own, more)
  swapped = tokenizer.load(folder)
  swapped.hf.add_special_tokens(
    {"additional_special_tokens": ["<|y|>", "<|x|>"]}
  )
  with pytest.raises(InputError, match="special token"):
    tokenizer.check_same(more, swapped)


def copied(folder, target):
  for file in folder.iterdir():
    (target / file.name).write_bytes(file.read_bytes())
  return target


def test_every_end_id_of_the_configs(folder, tmp_path):
  copied(folder, tmp_path)
  (tmp_path / "generation_config.json").write_text(
    json.dumps({"eos_token_id": [7, 5]})
  )
  (tmp_path / "config.json").write_text(
    json.dumps({"eos_token_id": 9, "model_type": "llama"})
  )
  assert tokenizer.load(tmp_path).eos_ids == (1, 5, 7, 9)


def test_no_tokenizer_there(tmp_path):
  with pytest.raises(InputError, match="no tokenizer could be loaded") as error:
    tokenizer.load(tmp_path / "absent")
  assert "\n" not in str(error.value)
  with pytest.raises(InputError, match="no tokenizer could be loaded"):
    tokenizer.load(tmp_path)


def test_without_torch_nothing_is_said(folder):
  code = (
    "import sys; sys.modules['torch'] = None\n"
    "from qsharp_jax.data import tokenizer\n"
    f"print(tokenizer.load({str(folder)!r}).vocab_size)\n"
    "assert 'jax' not in sys.modules\n"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  assert int(done.stdout) > 258
  assert "PyTorch" not in done.stderr


def test_plain_prompt_and_completion(own):
  prompt = prompts.render("How many?", own, style="plain")
  answer = prompts.completion("7 + 5 = 12\n#### 12", own)
  assert answer[-1] == 1
  assert own.decode(prompt + answer) == (
    "Question: How many?\nAnswer:\n7 + 5 = 12\n#### 12"
  )
  # Nothing straddles the border: the whole text has the same tokens.
  assert prompt + answer[:-1] == own.encode(own.decode(prompt + answer))


def test_plain_prompt_starts_with_the_start_token(own):
  own.hf.add_special_tokens({"bos_token": "<|begin|>"})
  from tokenizers import processors

  begin = own.hf.bos_token_id
  own.hf.backend_tokenizer.post_processor = processors.TemplateProcessing(
    single="<|begin|> $A", special_tokens=[("<|begin|>", begin)]
  )
  with_bos = tokenizer.Tokenizer(own.hf)
  prompt = prompts.render("x", with_bos, style="plain")
  assert prompt.count(begin) == 1 and prompt[0] == begin
  assert with_bos.encode("x") == own.encode("x")


def test_chat_prompt(own):
  own.hf.chat_template = TEMPLATE
  prompt = prompts.render("How many?", own, style="chat")
  text = own.hf.decode(prompt)
  assert text.startswith("<|user|>How many?")
  assert text.endswith("<|end|><|assistant|>")
  assert "\\boxed{}" in text
  assert prompt.count(1) == 1  # the template's <|end|> is one special token


def test_prompt_errors(own):
  with pytest.raises(InputError, match="chat template"):
    prompts.render("x", own, style="chat")
  with pytest.raises(InputError, match="prompt style"):
    prompts.render("x", own, style="fancy")


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
  folder = tmp_path_factory.mktemp("nodes")
  words = ["|", "/", "=", *map(str, range(20))]
  tokenizer.word_level(words, directory=folder)
  return tokenizer.load(folder)


def test_a_graph_is_a_token_a_node(nodes):
  graph, path = "4,17|5,4|5,19/5,17=", "5,4,17"
  prompt = prompts.render(graph, nodes, style="raw")
  answer = prompts.completion(path, nodes)
  node = lambda number: 6 + number
  equals = 5
  # Commas, bars and slashes vanish: edges have two tokens each.
  assert prompt == [
    *(node(4), node(17), node(5), node(4), node(5), node(19)),
    *(node(5), node(17), equals),
  ]
  assert answer == [node(5), node(4), node(17), 1]
  assert prompt + answer[:-1] == nodes.encode(graph + path)
  assert nodes.decode(answer) == "5 4 17"
  assert nodes.decode(np.array([equals, node(3)])) == "= 3"


def test_words_out_of_the_vocabulary_are_one_unknown_token(nodes):
  assert nodes.encode("5,20") == [11, 2]
  assert (nodes.pad_id, nodes.eos_ids, nodes.bos_ids) == (0, (1,), ())
  assert nodes.vocab_size == 26
