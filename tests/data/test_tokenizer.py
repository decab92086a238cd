import json
import subprocess
import sys

import numpy as np
import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import new_tokenizers, prompts, tokenizer

TEMPLATE = (
  "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>"
  "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


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


def test_check_same(own, folder, corpus, tmp_path):
  tokenizer.check_same(own, tokenizer.load(folder))
  other = new_tokenizers.train_byte_level_bpe(
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


@pytest.mark.parametrize("num_rows", [447, 448, 460])
def test_the_model_must_have_a_row_for_every_id(num_rows, folder, tmp_path):
  copied(folder, tmp_path)
  (tmp_path / "config.json").write_text(
    json.dumps({"vocab_size": num_rows, "model_type": "llama"})
  )
  if num_rows == 447:
    with pytest.raises(InputError, match="the id 447 and the model has 447"):
      tokenizer.load(tmp_path)
  else:
    assert tokenizer.load(tmp_path).encode("7")


def test_an_added_token_beyond_the_rows_is_refused_where_it_is_used(own):
  own.hf.add_special_tokens(
    {"pad_token": "<|new|>", "additional_special_tokens": ["<|other|>"]}
  )
  few = tokenizer.Tokenizer(own.hf, num_rows=448)
  assert few.encode("7") == own.encode("7")
  assert few.pad_id == 1  # the model could not read the tokenizer's own
  with pytest.raises(InputError, match="'<|new|>' the id 448.*has 448 rows"):
    few.encode("7 <|new|>")
  assert tokenizer.Tokenizer(own.hf, num_rows=450).pad_id == 448
  with pytest.raises(InputError, match="the id 449 and the model has 448"):
    tokenizer.Tokenizer(own.hf, eos_ids=[449], num_rows=448)


def test_half_a_surrogate_pair_is_no_text(own):
  for style in ("plain", "raw"):
    with pytest.raises(InputError, match=r"ud83d.*cannot be turned") as error:
      prompts.render("a\ud83d", own, prompts.Form(style))
    str(error.value).encode()


BROKEN = {
  "decoder": lambda x: x.update(decoder={"type": "Future"}),
  "pre_tokenizer": lambda x: x.update(pre_tokenizer={"type": "Future"}),
  "model": lambda x: x["model"].update(type="Future"),
  "no model": lambda x: x.pop("model"),
  "normalizer": lambda x: x.update(normalizer={"type": "Future"}),
  "post_processor": lambda x: x.update(post_processor={"type": "Future"}),
  "merges": lambda x: x["model"].update(merges=["no such pair"]),
  "vocab": lambda x: x["model"].update(vocab=[1, 2]),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen2", None])
def test_a_broken_or_future_tokenizer(change, family, folder, tmp_path):
  copied(folder, tmp_path)
  file = tmp_path / "tokenizer.json"
  raw = json.loads(file.read_text())
  change(raw)
  file.write_text(json.dumps(raw))
  if family:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": family}))
  with pytest.raises(InputError, match="no tokenizer could be") as error:
    tokenizer.load(tmp_path)
  assert "\n" not in str(error.value)


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
  prompt = prompts.render("How many?", own, prompts.Form("plain"))
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
  prompt = prompts.render("x", with_bos, prompts.Form("plain"))
  assert prompt.count(begin) == 1 and prompt[0] == begin
  assert with_bos.encode("x") == own.encode("x")


def test_chat_prompt(own):
  own.hf.chat_template = TEMPLATE
  prompt = prompts.render("How many?", own, prompts.Form("chat"))
  text = own.hf.decode(prompt)
  assert text.startswith("<|user|>How many?")
  assert text.endswith("<|end|><|assistant|>")
  assert prompt.count(1) == 1  # the template's <|end|> is one special token


def test_prompt_errors(own):
  with pytest.raises(InputError, match="chat template"):
    prompts.render("x", own, prompts.Form("chat"))
  with pytest.raises(InputError, match="prompt style"):
    prompts.render("x", own, prompts.Form("fancy"))
