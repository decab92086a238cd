"""Every entrance of files of others: read, or refused in one line."""

import json

import pytest
from oracles import model_directories, mutations

from qsharp_jax.checkpoint import huggingface, saving, tensor_files
from qsharp_jax.core.errors import InputError
from qsharp_jax.data import prompts, template_trial, tokenizer

NUM = 60  # of each kind of damage
TEMPLATE = (
  "{%- if not date_string is defined %}"
  "{%- set date_string = strftime_now('%d %b %Y') %}{%- endif %}"
  "{{ date_string }}{% for m in messages %}{% if m['role'] == 'user' %}"
  "{{ '<|user|>' + m['content'] | trim }}{% else %}"
  "{{ raise_exception('odd') }}{% endif %}{% endfor %}"
  "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture
def directory(tmp_path, monkeypatch):
  """A model of ours with everything that a directory may hold."""
  # A process for each template: tests/data/test_template_trial.py.
  monkeypatch.setattr(template_trial, "check", lambda *_: None)
  path = model_directories.qwen2(tmp_path / "m")
  (path / "generation_config.json").write_text(
    json.dumps({"eos_token_id": [1, 5], "temperature": 0.6})
  )
  file = path / "tokenizer_config.json"
  raw = json.loads(file.read_text()) | {"chat_template": TEMPLATE}
  file.write_text(json.dumps(raw))
  return path


def models(path):
  """Reads both kinds of models."""
  huggingface.load_language_model(path)
  huggingface.load_value_model(path)
  huggingface.token_ids(path)


def tokens(path):
  """Reads the tokenizer and uses all of it."""
  own = tokenizer.load(path)
  own.fingerprint()
  for style in ("plain", "chat") if own.hf.chat_template else ("plain",):
    prompts.render("How many?", own, prompts.Form(style))


def is_refused(attempt, argument) -> bool:
  """Whether an attempt ends in a line; anything else but success raises."""
  try:
    attempt(argument)
  except InputError as error:
    text = str(error)
    assert len(text.splitlines()) == 1 and len(text) < 1000, text
    text.encode()  # half of a surrogate pair could not be printed
    return True
  return False


ENTRANCES = {
  "config.json": lambda path: (models(path), tokens(path)),
  "digests.json": models,
  "generation_config.json": lambda path: (tokens(path), models(path)),
  "tokenizer.json": tokens,
  "tokenizer_config.json": tokens,
}


@pytest.mark.parametrize("name", ENTRANCES)
def test_damaged_json_gives_one_line(name, directory):
  file = directory / name
  content = file.read_bytes()
  refused = []
  for seed, make in enumerate((mutations.documents, mutations.texts)):
    whole = json.loads(content) if make is mutations.documents else content
    for mutant in make(whole, seed, NUM):
      file.write_bytes(mutant)
      refused.append(is_refused(ENTRANCES[name], directory))
  assert len(refused) == 2 * NUM
  # Some mutants mean nothing, and some mean as much as before.
  assert 0.1 < sum(refused) / len(refused) < 1


def test_a_damaged_header_of_tensors_gives_one_line(directory):
  file = directory / "model.safetensors"
  content = file.read_bytes()
  size = 8 + int.from_bytes(content[:8], "little")
  (directory / "digests.json").unlink()
  heads = list(mutations.texts(content[:size], 2, NUM))
  for head in mutations.documents(json.loads(content[8:size]), 3, NUM):
    heads.append(len(head).to_bytes(8, "little") + head)
  refused = 0
  for head in heads:
    file.write_bytes(head + content[size:])
    refused += is_refused(models, directory)
  assert refused > NUM


def test_a_damaged_index_gives_one_line(directory):
  shard = "model-00001-of-00001.safetensors"
  (directory / "model.safetensors").rename(directory / shard)
  names = tensor_files.TensorFiles
  index = directory / tensor_files.INDEX
  whole = {"weight_map": {"a": shard, "b": shard}, "metadata": {}}
  index.write_text(json.dumps(whole))
  assert names(directory).shapes
  mutants = [
    *mutations.documents(whole, 4, NUM),
    *mutations.texts(index.read_bytes(), 5, NUM),
  ]
  refused = 0
  for mutant in mutants:
    index.write_bytes(mutant)
    refused += is_refused(models, directory)
  assert refused > NUM


def test_a_damaged_chat_template_gives_one_line(directory):
  own = tokenizer.load(directory)

  def use(template):
    own.hf.chat_template = template
    prompts.render("How many?", own, prompts.Form("chat"))

  refused = [
    is_refused(use, mutant.decode(errors="surrogateescape"))
    for mutant in mutations.texts(TEMPLATE.encode(), 6, 2 * NUM)
  ]
  assert 0.1 < sum(refused) / len(refused) < 1


@pytest.mark.parametrize(
  ("content", "says"),
  [
    (b"", "is not JSON"),
    (b'{"eos_token_id": 7,}', "is not JSON"),
    (b"[7]", r"is not a JSON object but \[7\]"),
    (mutations.DEEP.encode(), "is not JSON .nested too deeply"),
    (
      b'{"eos_token_id": [7, null]}',
      r"eos_token_id is \[7, None\]; .* 0 to 303",
    ),
    (b'{"eos_token_id": "7"}', "eos_token_id is '7'; expected"),
    (b'{"eos_token_id": -1}', "eos_token_id is -1; expected"),
    (b'{"eos_token_id": 304}', "eos_token_id is 304; expected"),
    (b'{"eos_token_id": true}', "eos_token_id is True; expected"),
    (b'{"eos_token_id": 7.0}', "eos_token_id is 7.0; expected"),
    (b'{"eos_token_id": [[7]]}', r"eos_token_id is \[\[7\]\]; expected"),
    (b'{"eos_token_id": {"a": 7}}', "eos_token_id is {'a': 7}; expected"),
  ],
  ids=range(12),
)
def test_end_ids_that_mean_nothing_are_named(content, says, directory):
  file = directory / "generation_config.json"
  file.write_bytes(content)
  for read in (tokenizer.load, huggingface.token_ids):
    with pytest.raises(InputError, match=f"{file}:? {says}"):
      read(directory)


@pytest.mark.parametrize(
  ("content", "ends"),
  [
    (b'\xef\xbb\xbf{"eos_token_id": 7}\n\n', (1, 7)),
    (b'{"eos_token_id": [7, 5, 7]}', (1, 5, 7)),
    (b'{"eos_token_id": null}', (1,)),
    (b'{"eos_token_id": []}', (1,)),
    (b"{}", (1,)),
  ],
)
def test_end_ids_in_either_file_are_kept_by_models_made_from_it(
  content, ends, directory, tmp_path
):
  (directory / "generation_config.json").write_bytes(content)
  assert tokenizer.load(directory).eos_ids == ends
  config, params = huggingface.load_language_model(directory)
  saving.save_language_model(
    tmp_path / "n", config, params, "qwen2", huggingface.token_ids(directory)
  )
  for file in directory.glob("tokenizer*"):
    (tmp_path / "n" / file.name).write_bytes(file.read_bytes())
  assert tokenizer.load(tmp_path / "n").eos_ids == ends
  expected = ends[0] if len(ends) == 1 else list(ends)
  assert huggingface.read_config(tmp_path / "n")["eos_token_id"] == expected


@pytest.mark.parametrize("nothing", [None, [], {}])
def test_a_model_may_have_no_end(nothing, directory):
  (directory / "generation_config.json").unlink()
  file = directory / "config.json"
  raw = json.loads(file.read_text()) | {"eos_token_id": nothing}
  file.write_text(json.dumps(raw))
  assert "eos_token_id" not in huggingface.token_ids(directory)


def test_without_a_vocabulary_ends_count_upwards(directory):
  file = directory / "config.json"
  raw = json.loads(file.read_text()) | {"eos_token_id": -1}
  del raw["vocab_size"]
  file.write_text(json.dumps(raw))
  with pytest.raises(InputError, match="ids from 0 upwards"):
    huggingface.token_ids(directory)


@pytest.mark.parametrize(
  ("head", "says"),
  [
    ({"kind": "w", "num_atoms": 1}, "kind 'w'"),
    ({"kind": "v", "num_atoms": 0}, "with 0 atoms"),
    ({"kind": ["v"], "num_atoms": 1}, r"kind \['v'\]"),
    ({"kind": "v"}, "with None atoms"),
    (7, "kind None"),
  ],
)
def test_a_value_head_that_cannot_be_is_named(head, says, directory):
  file = directory / "config.json"
  raw = json.loads(file.read_text()) | {"value_head": head}
  file.write_text(json.dumps(raw))
  with pytest.raises(InputError, match=says):
    huggingface.load_value_model(directory)
