"""Models of ours on disk: read back, read by torch, replaced whole."""

import json

import jax
import numpy as np
import pytest
from oracles import saved_models, torch_models
from safetensors import numpy as safetensors_numpy

from qsharp_jax import models, sharding
from qsharp_jax.checkpoint import (
  huggingface,
  saving,
  tensor_files,
)
from qsharp_jax.core.errors import InputError


@pytest.mark.parametrize("variant", torch_models.FIRST_OF_FAMILY.values())
def test_exported_language_model_loads_in_torch(
  variant, tmp_path, torch_and_transformers
):
  _, transformers = torch_and_transformers
  config, params = saved_models.save(
    tmp_path / "m", variant, token_ids={"pad_token_id": 96}
  )
  torch_model = transformers.AutoModelForCausalLM.from_pretrained(
    tmp_path / "m"
  )
  assert torch_model.config.model_type == torch_models.VARIANTS[variant][0]
  got = torch_models.logits(
    torch_model, saved_models.TOKENS, np.ones_like(saved_models.TOKENS)
  )
  expected = saved_models.apply(models.LanguageModel(config), params)
  assert np.abs(expected).max() > 1
  np.testing.assert_allclose(got, expected, atol=1e-4, rtol=0)
  again, same = huggingface.load_language_model(tmp_path / "m")
  assert again == config
  saved_models.assert_same(same, params)


@pytest.mark.parametrize(
  ("variant", "num_atoms"),
  [("gpt2", 1), ("llama31", 5), ("neox", 1), ("gemma3", 1), ("phi3", 5)],
)
def test_exported_v_type_value_model_is_a_torch_classifier(
  variant, num_atoms, tmp_path, torch_and_transformers
):
  torch, transformers = torch_and_transformers
  head = models.HeadConfig("v", num_atoms)
  config, params = saved_models.save(
    tmp_path, variant, head, token_ids={"pad_token_id": 96}
  )
  classifier = transformers.AutoModelForSequenceClassification
  torch_model = classifier.from_pretrained(tmp_path)
  with torch.no_grad():
    got = torch_model(torch.tensor(saved_models.TOKENS).long()).logits.numpy()
  values = jax.jit(models.ValueModel(config, head).apply)(
    params, saved_models.TOKENS, saved_models.POSITIONS
  )
  assert got.shape == (2, num_atoms)
  assert np.abs(got).max() > 0.1
  np.testing.assert_allclose(got, values[:, -1], atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["v", "q"])
@pytest.mark.parametrize("variant", ["gpt2", "qwen2", "qwen3"])
def test_value_model_round_trip(variant, kind, tmp_path):
  head = models.HeadConfig(kind, 3)
  config, params = saved_models.save(tmp_path / "m", variant, head)
  got = huggingface.load_value_model(tmp_path / "m", head=head)
  assert got[:2] == (config, head)
  saved_models.assert_same(got[2], params)
  stored = safetensors_numpy.load_file(tmp_path / "m" / "model.safetensors")
  name, rows = {"v": ("score.weight", 3), "q": ("q_head.weight", 97 * 3)}[kind]
  assert stored[name].shape == (rows, 64)
  with pytest.raises(InputError, match="num_atoms=1"):
    huggingface.load_value_model(
      tmp_path / "m", head=models.HeadConfig(kind, 1)
    )


def test_shards_and_their_index(tmp_path):
  config, params = saved_models.save(
    tmp_path / "m", "llama", max_shard_bytes=40_000
  )
  files = sorted(p.name for p in (tmp_path / "m").glob("*.safetensors"))
  assert len(files) > 3 and files[0].startswith("model-00001-of-000")
  index = tmp_path / "m" / tensor_files.INDEX
  assert set(json.loads(index.read_text())["weight_map"].values()) == set(files)
  saved_models.assert_same(
    huggingface.load_language_model(tmp_path / "m")[1], params
  )
  (tmp_path / "m" / files[1]).unlink()
  with pytest.raises(InputError, match=files[1]):
    huggingface.load_language_model(tmp_path / "m")


def test_shards_load_in_torch(tmp_path, torch_and_transformers):
  _, transformers = torch_and_transformers
  config, params = saved_models.save(
    tmp_path / "m", "llama", max_shard_bytes=40_000
  )
  torch_model = transformers.AutoModelForCausalLM.from_pretrained(
    tmp_path / "m"
  )
  got = torch_models.logits(
    torch_model, saved_models.TOKENS, np.ones_like(saved_models.TOKENS)
  )
  expected = saved_models.apply(models.LanguageModel(config), params)
  np.testing.assert_allclose(got, expected, atol=1e-4, rtol=0)


def test_sharded_parameters_are_exported_whole(tmp_path):
  if jax.device_count() < 8:
    pytest.skip("needs 8 devices")
  config, params = saved_models.save(tmp_path / "m", "llama")
  mesh = sharding.mesh.make_mesh((1, 4, 2))
  shardings = sharding.placement.shardings(
    models.LanguageModel(config), mesh, sharding.rules.TRAINING
  )
  placed = sharding.placement.place(params, shardings)
  saving.save_language_model(tmp_path / "n", config, placed, "llama")
  saved_models.assert_same(
    huggingface.load_language_model(tmp_path / "n")[1], params
  )


def test_bfloat16_export_loads_in_torch(tmp_path, torch_and_transformers):
  torch, transformers = torch_and_transformers
  config, params = saved_models.save(tmp_path / "m", "qwen2")
  config, params = huggingface.load_language_model(
    tmp_path / "m", param_dtype="bfloat16"
  )
  saving.save_language_model(tmp_path / "n", config, params, "qwen2")
  torch_model = transformers.AutoModelForCausalLM.from_pretrained(
    tmp_path / "n", dtype="auto"
  )
  assert torch_model.dtype == torch.bfloat16
  saved_models.assert_same(
    huggingface.load_language_model(tmp_path / "n", param_dtype="bfloat16")[1],
    params,
  )


def test_saving_again_replaces_a_model_and_nothing_else(tmp_path):
  saved_models.save(tmp_path / "m", "llama", max_shard_bytes=40_000)
  _, params = saved_models.save(tmp_path / "m", "qwen2")
  assert sorted(p.name for p in (tmp_path / "m").iterdir()) == [
    "config.json",
    "digests.json",
    "model.safetensors",
  ]
  saved_models.assert_same(
    huggingface.load_language_model(tmp_path / "m")[1], params
  )
  (tmp_path / "notes").mkdir()
  (tmp_path / "notes" / "mine.txt").write_text("keep")
  with pytest.raises(InputError, match="is no model directory"):
    saved_models.save(tmp_path / "notes", "llama")
  assert sorted(p.name for p in tmp_path.iterdir()) == ["m", "notes"]


def test_an_interrupted_save_leaves_the_old_model(tmp_path, monkeypatch):
  _, params = saved_models.save(tmp_path / "m", "qwen2")

  def fail(*args, **kwargs):
    raise OSError("disk full")

  monkeypatch.setattr(safetensors_numpy, "save_file", fail)
  with pytest.raises(OSError, match="disk full"):
    saved_models.save(tmp_path / "m", "llama")
  assert [p.name for p in tmp_path.iterdir()] == ["m"]
  saved_models.assert_same(
    huggingface.load_language_model(tmp_path / "m")[1], params
  )
