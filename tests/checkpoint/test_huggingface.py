
import jax
import numpy as np
import pytest
from oracles import torch_models

pytest.importorskip("torch", reason="the parity tests need torch")

import torch  # noqa: E402
import transformers  # noqa: E402

from qsharp_jax import models  # noqa: E402
from qsharp_jax.checkpoint import huggingface  # noqa: E402

TOKENS = np.random.default_rng(1).integers(0, 97, (2, 9)).astype(np.int32)
POSITIONS = np.tile(np.arange(9, dtype=np.int32), (2, 1))


def _random(params, seed=0):
  """The same tree filled with noise around its values."""
  leaves, treedef = jax.tree.flatten(params)
  rng = np.random.default_rng(seed)
  noisy = [x + 0.3 * rng.normal(size=x.shape).astype(x.dtype) for x in leaves]
  return jax.tree.unflatten(treedef, noisy)


@pytest.mark.parametrize("variant", torch_models.VARIANTS)
def test_exported_language_model_loads_in_torch(variant, tmp_path):
  torch_model = torch_models.build(variant)
  torch_model.save_pretrained(tmp_path / "a")
  config, params = huggingface.load_language_model(tmp_path / "a")
  params = _random(params)
  family = torch_model.config.model_type
  huggingface.save_language_model(tmp_path / "b", config, params, family)
  back = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "b")
  assert type(back) is type(torch_model)
  expected, _ = models.LanguageModel(config).apply(params, TOKENS, POSITIONS)
  got = torch_models.logits(back, TOKENS, np.ones_like(TOKENS))
  np.testing.assert_allclose(got, expected, atol=1e-4, rtol=1e-5)
  again, same = huggingface.load_language_model(tmp_path / "b")
  assert again == config
  jax.tree.map(np.testing.assert_array_equal, same, params)


@pytest.mark.parametrize("num_atoms", [1, 5])
@pytest.mark.parametrize("variant", ["gpt2", "llama31", "mistral", "qwen2"])
def test_exported_v_type_value_model_is_a_torch_classifier(
  variant, num_atoms, tmp_path
):
  torch_models.build(variant).save_pretrained(tmp_path / "a")
  config, head, params = huggingface.load_value_model(
    tmp_path / "a", head=models.HeadConfig("v", num_atoms)
  )
  assert not np.any(params["params"]["head"])
  params = _random(params)
  family = huggingface.read_config(tmp_path / "a")["model_type"]
  huggingface.save_value_model(
    tmp_path / "b",
    config,
    head,
    params,
    family,
    token_ids={"pad_token_id": 96},
  )
  back = transformers.AutoModelForSequenceClassification.from_pretrained(
    tmp_path / "b"
  )
  tokens = np.where(TOKENS == 96, 0, TOKENS)
  with torch.no_grad():
    got = back(torch.tensor(tokens).long()).logits.numpy()
  value = models.ValueModel(config, head).apply(params, tokens, POSITIONS)
  assert got.shape == (2, num_atoms)
  np.testing.assert_allclose(got, value[:, -1], atol=1e-4, rtol=1e-5)
  again = huggingface.load_value_model(tmp_path / "b")
  assert again[:2] == (config, head)
  jax.tree.map(np.testing.assert_array_equal, again[2], params)
