"""Models that a run saved: damage is noticed, a change on purpose is read."""

import json
import shutil

import jax
import numpy as np
import pytest
from oracles import decoders, model_directories
from safetensors import numpy as safetensors_numpy

from qsharp_jax import models
from qsharp_jax.checkpoint import huggingface, saving
from qsharp_jax.core.errors import InputError
from qsharp_jax.data import tokenizer

HEAD = models.HeadConfig("q", 2)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
  return model_directories.qwen2(tmp_path_factory.mktemp("start") / "m")


def with_tokenizer(start, path, **kwargs):
  """A language model and its tokenizer's files, as fine-tuning saves them."""
  config, params = huggingface.load_language_model(start)
  saving.save_language_model(
    path, config, params, "qwen2", huggingface.token_ids(start), **kwargs
  )

  def copy_tokenizer(folder):
    for file in start.glob("tokenizer*"):
      shutil.copyfile(file, folder / file.name)

  huggingface.seal(path, copy_tokenizer)
  return path


def value_model(start, path):
  config, _ = huggingface.load_language_model(start)
  params = decoders.params(models.ValueModel(config, HEAD))
  saving.save_value_model(path, config, HEAD, params, "qwen2")
  return path


ARTEFACTS = {
  "language model": (with_tokenizer, huggingface.load_language_model),
  "shards": (
    lambda start, path: with_tokenizer(start, path, max_shard_bytes=20_000),
    huggingface.load_language_model,
  ),
  "value model": (value_model, huggingface.load_value_model),
}


def everything(path, load):
  """All that a run takes from a directory."""
  found = [*load(path)]
  if (path / "tokenizer.json").exists():
    own = tokenizer.load(path)
    found += [own.fingerprint(), own.eos_ids, own.pad_id]
  return found


def assert_same(got, wanted):
  same = jax.tree.map(lambda x, y: np.array_equal(x, y), got, wanted)
  assert jax.tree.all(same)


@pytest.mark.parametrize("kind", ARTEFACTS)
def test_every_flipped_bit_is_noticed_or_harmless(kind, start, tmp_path):
  make, load = ARTEFACTS[kind]
  path = make(start, tmp_path / "m")
  wanted = everything(path, load)
  contents = {x: x.read_bytes() for x in sorted(path.iterdir())}
  sizes = np.array([len(content) for content in contents.values()])
  rng, files, noticed = np.random.default_rng(1), list(contents), 0
  for i in range(200):
    # Half of the bits by size, half by file: some files are small.
    weights = sizes if i % 2 else sizes > 0
    file = files[rng.choice(len(files), p=weights / weights.sum())]
    damaged = bytearray(contents[file])
    damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
    file.write_bytes(damaged)
    try:
      assert_same(everything(path, load), wanted)
    except InputError as error:
      noticed += 1
      assert len(str(error).splitlines()) == 1
    file.write_bytes(contents[file])
  # The rest hit the list itself, or an index of shards, without effect.
  assert noticed > 130


@pytest.mark.parametrize(
  "name", ["config.json", "model.safetensors", "tokenizer.json"]
)
def test_the_error_names_the_file_and_what_to_delete(name, start, tmp_path):
  path = with_tokenizer(start, tmp_path / "m")
  file = path / name
  content = bytearray(file.read_bytes())
  content[content.rindex(b"0")] ^= 1  # a digit, or some weight
  file.write_bytes(content)
  says = f"{file} is not what was saved .*delete {path} .*or digests.json alone"
  with pytest.raises(InputError, match=says):
    everything(path, huggingface.load_language_model)
  (path / "digests.json").unlink()
  huggingface.load_language_model(path)


def test_what_is_changed_on_purpose_is_read(start, tmp_path):
  path = with_tokenizer(start, tmp_path / "m")
  config = path / "config.json"
  raw = json.loads(config.read_text()) | {"rope_theta": 5e5}
  config.write_text(json.dumps(raw))
  tensors = safetensors_numpy.load_file(path / "model.safetensors")
  tensors = {name: 2 * x for name, x in tensors.items()}
  for metadata in (None, {"format": "pt"}):  # as torch and others write it
    safetensors_numpy.save_file(tensors, path / "model.safetensors", metadata)
    got, params = huggingface.load_language_model(path)
    assert got.rope_theta == 5e5
    table = params["params"]["backbone"]["embedding"]
    np.testing.assert_array_equal(table, tensors["model.embed_tokens.weight"])
  chat = path / "tokenizer_config.json"
  raw = json.loads(chat.read_text()) | {"chat_template": "{{ messages }}"}
  chat.write_text(json.dumps(raw))
  assert tokenizer.load(path).hf.chat_template == "{{ messages }}"


def test_equal_models_are_equal_files(start, tmp_path):
  contents = {
    (value_model(start, tmp_path / str(i)) / "model.safetensors").read_bytes()
    for i in range(8)
  }
  assert len(contents) == 1


def test_a_model_saved_over_another_has_its_own_digests(start, tmp_path):
  path = with_tokenizer(start, tmp_path / "m")
  value_model(start, path)
  listed = json.loads((path / "digests.json").read_text())
  assert set(listed) == {"config.json", "model.safetensors"}
  assert huggingface.load_value_model(path)[1] == HEAD
