import jax
import numpy as np
import pytest
from oracles import decoders, torch_models

from qsharp_jax import checkpoint, models

pytest.importorskip("torch", reason="the parity tests need torch")


@pytest.mark.parametrize("variant", torch_models.VARIANTS)
def test_logits_equal_torch_also_with_left_padding(variant, tmp_path):
  torch_model = torch_models.build(variant)
  torch_model.save_pretrained(tmp_path)
  config, params = checkpoint.huggingface.load_language_model(tmp_path)
  tokens, mask, positions = decoders.left_padded(
    [12, 7, 1], 12, config.vocab_size
  )
  expected = torch_models.logits(torch_model, tokens, mask.astype(np.int64))
  apply = jax.jit(models.LanguageModel(config).apply)
  got, _ = apply(params, tokens, positions)
  got = np.asarray(got)
  assert 1 < np.abs(expected[mask]).max() < 30
  np.testing.assert_allclose(got[mask], expected[mask], atol=1e-4, rtol=0)
