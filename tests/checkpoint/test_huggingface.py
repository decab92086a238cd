import json
import re

import jax
import ml_dtypes
import numpy as np
import pytest
from flax import linen as nn
from flax import traverse_util
from oracles import decoders, saved_models, torch_models

from qsharp_jax import models, sharding
from qsharp_jax.checkpoint import (
  huggingface,
  layouts,
  name_tables,
  tensor_files,
)
from qsharp_jax.core.errors import InputError


@pytest.mark.parametrize("variant", ["gpt2", "qwen2"])
def test_a_head_that_reads_predictions_keeps_the_norm_behind_them(
  variant, tmp_path
):
  head = models.HeadConfig("v", 3, 1)
  _, language = saved_models.save(tmp_path / "lm", variant)
  config, found, start = huggingface.load_value_model(
    tmp_path / "lm", head=head
  )
  assert found == head
  own = language["params"]["backbone"]["final_norm"]
  saved_models.assert_same(start["params"]["predicting_norm"], own)
  assert start["params"]["head"].shape == (1, 3, config.width + 1)
  assert not np.any(start["params"]["head"])
  # Saved, with numbers of its own everywhere.
  config, params = saved_models.save(tmp_path / "m", variant, head)
  got = huggingface.load_value_model(tmp_path / "m")
  assert got[:2] == (config, head)
  saved_models.assert_same(got[2], params)
  # No class of transformers reads it so.
  assert "architectures" not in huggingface.read_config(tmp_path / "m")


@pytest.mark.parametrize(
  "head",
  [
    {"kind": "v", "predicting_layers": -1},
    {"kind": "q", "predicting_layers": 1},
  ],
)
def test_predictions_that_no_head_can_read_are_refused(head):
  with pytest.raises(InputError, match="reads the predictions of"):
    huggingface.saved_head({"value_head": head | {"num_atoms": 1}})


@pytest.mark.parametrize("variant", ["gpt2", "llama", "neox", "qwen2"])
def test_a_q_head_starts_as_the_language_model_head(variant, tmp_path):
  config, params = saved_models.save(tmp_path / "m", variant)
  head = models.HeadConfig("q")
  load = lambda **kwargs: huggingface.load_value_model(
    tmp_path / "m", head=head, **kwargs
  )[2]
  logits = saved_models.apply(models.LanguageModel(config), params)
  values = jax.jit(models.ValueModel(config, head).apply)(
    load(), saved_models.TOKENS, saved_models.POSITIONS
  )
  for t in range(1, 9):
    expected = logits[[0, 1], t - 1, saved_models.TOKENS[:, t]]
    np.testing.assert_allclose(values[:, t, 0], expected, atol=1e-5)
  assert not np.any(load(q_head="zeros")["params"]["head"])


def test_a_v_head_and_one_with_atoms_start_as_zeros(tmp_path):
  _, params = saved_models.save(tmp_path / "m", "llama")
  for kind, num_atoms, rows in (("v", 1, 1), ("v", 4, 1), ("q", 4, 97)):
    _, _, got = huggingface.load_value_model(
      tmp_path / "m", head=models.HeadConfig(kind, num_atoms)
    )
    assert got["params"]["head"].shape == (rows, num_atoms, 64)
    assert not np.any(got["params"]["head"])
    saved_models.assert_same(
      got["params"]["backbone"], params["params"]["backbone"]
    )
  _, head, _ = huggingface.load_value_model(tmp_path / "m")
  assert head == models.HeadConfig("v", 1)


@pytest.mark.parametrize(
  "content",
  [
    "{",
    "[]",
    '{"weight_map": 3}',
    '{"weight_map": {"x": 3, "y": "z"}}',
    '{"weight_map": {"x": {}}}',
    '{"weight_map": {"x": 7}}',
    "[" * 100_000,
    f'{{"weight_map": {{"x": "{"y" * 5000}"}}}}',
  ],
  ids=range(8),
)
def test_a_broken_index_is_named(content, tmp_path):
  saved_models.save(tmp_path / "m", "llama", max_shard_bytes=40_000)
  (tmp_path / "m" / tensor_files.INDEX).write_text(content)
  with pytest.raises(InputError, match=r"index\.json is no safetensors index"):
    huggingface.load_language_model(tmp_path / "m")


def test_an_index_does_not_lead_out_of_its_directory(tmp_path):
  saved_models.save(tmp_path / "m", "llama")
  file = tmp_path / "m" / "model.safetensors"
  file.rename(tmp_path / "outside.safetensors")
  (tmp_path / "m" / tensor_files.INDEX).write_text(
    json.dumps({"weight_map": {"x": "../outside.safetensors"}})
  )
  with pytest.raises(InputError, match="not beside it"):
    huggingface.load_language_model(tmp_path / "m")


@pytest.mark.parametrize("variant", ["gpt2", "qwen2_windows"])
def test_each_device_reads_only_its_slices(variant, tmp_path, monkeypatch):
  if jax.device_count() < 8:
    pytest.skip("needs 8 devices")
  head = models.HeadConfig("q", 2)
  config, params = saved_models.save(tmp_path / "m", variant, head)
  mesh = sharding.mesh.make_mesh((1, 4, 2))
  wanted = sharding.placement.shardings(
    models.ValueModel(config, head), mesh, sharding.rules.TRAINING
  )
  largest = {}
  read = tensor_files.TensorFiles.read

  def counted(self, name, index):
    part = read(self, name, index)
    largest[name] = max(largest.get(name, 0), part.size)
    return part

  monkeypatch.setattr(tensor_files.TensorFiles, "read", counted)
  _, _, got = huggingface.load_value_model(tmp_path / "m", shardings=wanted)
  saved_models.assert_same(got, params)
  jax.tree.map(lambda x, s: _assert_sharding(x, s), got, wanted)
  mlp = {"gpt2": "transformer.h.0.mlp.c_fc", "qwen2_windows": "model.layers.0"}
  name = next(n for n in largest if n.startswith(mlp[variant]) and "mlp" in n)
  assert largest[name] == config.width * config.mlp_width // 8


def _assert_sharding(x, expected):
  assert x.sharding.is_equivalent_to(expected, x.ndim)


def test_bfloat16_files_and_parameters(tmp_path):
  config, params = saved_models.save(tmp_path / "m", "llama")
  halve = lambda tensors: tensors.update(
    {name: x.astype(ml_dtypes.bfloat16) for name, x in tensors.items()}
  )
  saved_models.edit(tmp_path / "m", halve)
  rounded = jax.tree.map(
    lambda x: np.asarray(x).astype(ml_dtypes.bfloat16), params
  )
  _, got = huggingface.load_language_model(
    tmp_path / "m", param_dtype="bfloat16"
  )
  assert {x.dtype for x in jax.tree.leaves(got)} == {np.dtype("bfloat16")}
  saved_models.assert_same(got, rounded)
  _, wide = huggingface.load_language_model(tmp_path / "m")
  assert {x.dtype for x in jax.tree.leaves(wide)} == {np.dtype("float32")}
  saved_models.assert_same(
    wide, jax.tree.map(lambda x: x.astype(np.float32), rounded)
  )


def _strip_prefix(tensors):
  for name in list(tensors):
    tensors[name.removeprefix("transformer.")] = tensors.pop(name)


def test_gpt2_as_published_lacks_a_prefix_and_has_buffers(tmp_path):
  _, params = saved_models.save(tmp_path / "m", "gpt2")
  buffers = {
    "h.0.attn.bias": np.ones((1, 1, 64, 64), np.float32),
    "h.1.attn.masked_bias": np.float32([-1e4]),
  }
  saved_models.edit(tmp_path / "m", _strip_prefix)
  saved_models.edit(tmp_path / "m", lambda tensors: tensors.update(buffers))
  saved_models.assert_same(
    huggingface.load_language_model(tmp_path / "m")[1], params
  )


def test_old_files_of_neox_have_buffers(tmp_path):
  _, params = saved_models.save(tmp_path / "m", "neox")
  buffers = {
    "gpt_neox.layers.0.attention.bias": np.ones((1, 1, 64, 64), np.bool_),
    "gpt_neox.layers.1.attention.masked_bias": np.float32([-1e9]),
    "gpt_neox.layers.1.attention.rotary_emb.inv_freq": np.ones(2, np.float32),
  }
  saved_models.edit(tmp_path / "m", lambda tensors: tensors.update(buffers))
  saved_models.assert_same(
    huggingface.load_language_model(tmp_path / "m")[1], params
  )


def test_harmless_extras(tmp_path):
  _, params = saved_models.save(tmp_path / "m", "llama32_tied")
  extras = lambda tensors: {
    "model.layers.0.self_attn.rotary_emb.inv_freq": np.zeros(8, np.float32),
    "lm_head.weight": tensors["model.embed_tokens.weight"].copy(),
  }
  saved_models.edit(
    tmp_path / "m", lambda tensors: tensors.update(extras(tensors))
  )
  saved_models.assert_same(
    huggingface.load_language_model(tmp_path / "m")[1], params
  )
  # A value model starts from either table, which are one.
  _, _, values = huggingface.load_value_model(
    tmp_path / "m", head=models.HeadConfig("q")
  )
  np.testing.assert_array_equal(
    values["params"]["head"][:, 0], params["params"]["backbone"]["embedding"]
  )


Q_PROJ = "model.layers.1.self_attn.q_proj.weight"


@pytest.mark.parametrize(
  ("change", "says"),
  [
    (lambda x: x.pop(Q_PROJ), f"lacks tensors {Q_PROJ}"),
    (
      lambda x: x.update({Q_PROJ.replace("weight", "bias"): x[Q_PROJ][0]}),
      "unexpected tensors model.layers.1.self_attn.q_proj.bias",
    ),
    (
      lambda x: x.update({Q_PROJ: x[Q_PROJ][:, 1:].copy()}),
      rf"{Q_PROJ} has shape \(64, 63\), config.json says \(64, 64\)",
    ),
    (lambda x: x.pop("lm_head.weight"), "lacks tensors lm_head.weight"),
    (lambda x: x.clear(), "lacks tensors .* and 18 more"),
  ],
)
def test_tensors_amiss_are_named(change, says, tmp_path):
  saved_models.save(tmp_path / "m", "llama")
  saved_models.edit(tmp_path / "m", change)
  with pytest.raises(InputError, match=says) as error:
    huggingface.load_language_model(tmp_path / "m")
  assert "\n" not in str(error.value)


@pytest.mark.parametrize("cut", [4, 300, -8])
def test_a_truncated_file_is_named(cut, tmp_path):
  saved_models.save(tmp_path / "m", "llama")
  file = tmp_path / "m" / "model.safetensors"
  file.write_bytes(file.read_bytes()[:cut])
  with pytest.raises(InputError, match=re.escape(f"{file} is truncated or")):
    huggingface.load_language_model(tmp_path / "m")


def test_a_hub_name_is_downloaded_without_pickles(tmp_path, monkeypatch):
  import huggingface_hub

  _, params = saved_models.save(tmp_path / "m", "llama")

  def download(name, allow_patterns):
    assert not any("bin" in pattern for pattern in allow_patterns)
    if name != "org/model-1.5b":
      raise ValueError("404 not found\nmore")
    return str(tmp_path / "m")

  monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
  saved_models.assert_same(
    huggingface.load_language_model("org/model-1.5b")[1], params
  )
  with pytest.raises(InputError, match=r"org/absent.*404 not found\); check"):
    huggingface.load_language_model("org/absent")


def test_directories_that_are_no_models(tmp_path):
  with pytest.raises(InputError, match="is no directory"):
    huggingface.read_config(tmp_path / "absent")
  with pytest.raises(InputError, match=r"config\.json does not exist"):
    huggingface.read_config(tmp_path)
  (tmp_path / "config.json").write_text("{")
  with pytest.raises(InputError, match=r"config\.json is not JSON"):
    huggingface.read_config(tmp_path)
  (tmp_path / "config.json").write_text("[]")
  with pytest.raises(InputError, match="not a JSON object"):
    huggingface.read_config(tmp_path)
  saved_models.save(tmp_path / "m", "llama")
  (tmp_path / "m" / "model.safetensors").unlink()
  with pytest.raises(InputError, match=r"neither model\.safetensors nor"):
    huggingface.load_language_model(tmp_path / "m")


def test_a_value_model_is_no_language_model(tmp_path):
  saved_models.save(tmp_path / "m", "qwen2", models.HeadConfig("v"))
  with pytest.raises(InputError, match=r"unexpected tensors score\.weight"):
    huggingface.load_language_model(tmp_path / "m")


@pytest.mark.parametrize(
  "head",
  [None, models.HeadConfig("q", 3), models.HeadConfig("v", 3, 1)],
)
@pytest.mark.parametrize("variant", torch_models.VARIANTS)
def test_the_table_names_every_parameter_of_the_model(variant, head):
  config = decoders.config(variant)
  model = (
    models.LanguageModel(config)
    if head is None
    else models.ValueModel(config, head)
  )
  one = np.zeros((1, 1), np.int32)
  shapes = nn.unbox(jax.eval_shape(model.init, jax.random.key(0), one, one))
  expected = {
    path: x.shape
    for path, x in traverse_util.flatten_dict(shapes["params"], sep="/").items()
  }
  sizes = layouts.sizes(config, head)
  family = torch_models.VARIANTS[variant][0]
  assert expected == {
    entry.path: layouts.shape(entry, sizes)
    for entry in name_tables.entries(family, config, head)
  }
