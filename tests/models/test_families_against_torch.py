import chex
import jax
import numpy as np
import pytest
from oracles import decoders, torch_models
from safetensors import numpy as safetensors_numpy

from qsharp_jax import models
from qsharp_jax.checkpoint import families, huggingface, saving

pytest.importorskip("torch", reason="the parity tests need torch")


@pytest.mark.parametrize("variant", torch_models.VARIANTS)
def test_logits_equal_torch_also_with_left_padding(variant, tmp_path):
  torch_model = torch_models.build(variant)
  torch_model.save_pretrained(tmp_path)
  config, params = huggingface.load_language_model(tmp_path)
  tokens, mask, positions = decoders.left_padded(
    [12, 7, 1], 12, config.vocab_size
  )
  expected = torch_models.logits(torch_model, tokens, mask.astype(np.int64))
  apply = jax.jit(models.LanguageModel(config).apply)
  got, _ = apply(params, tokens, positions)
  got = np.asarray(got)
  assert 1 < np.abs(expected[mask]).max() < 30
  np.testing.assert_allclose(got[mask], expected[mask], atol=1e-4, rtol=0)


@pytest.mark.parametrize("variant", torch_models.VARIANTS)
def test_what_was_imported_is_exported_as_torch_had_it(variant, tmp_path):
  torch_models.build(variant).save_pretrained(tmp_path / "theirs")
  config, params = huggingface.load_language_model(tmp_path / "theirs")
  family = torch_models.VARIANTS[variant][0]
  saving.save_language_model(tmp_path / "ours", config, params, family)
  theirs, ours = (
    safetensors_numpy.load_file(tmp_path / x / "model.safetensors")
    for x in ("theirs", "ours")
  )
  chex.assert_trees_all_equal(ours, theirs)
  again = families.from_hf(huggingface.read_config(tmp_path / "ours"))
  assert again == config
