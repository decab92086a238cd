import numpy as np
import pytest
from oracles import torch_models

pytest.importorskip("torch", reason="the parity tests need torch")

from qsharp_jax import checkpoint, models  # noqa: E402


def _batch(lengths, time, vocab):
  rng = np.random.default_rng(0)
  tokens = rng.integers(0, vocab, (len(lengths), time)).astype(np.int32)
  mask = np.arange(time) >= time - np.array(lengths)[:, None]
  positions = np.where(mask, np.cumsum(mask, -1) - 1, -1).astype(np.int32)
  return tokens, mask, positions


@pytest.mark.parametrize("variant", torch_models.VARIANTS)
def test_logits_equal_torch(variant, tmp_path):
  torch_model = torch_models.build(variant)
  torch_model.save_pretrained(tmp_path)
  config, params = checkpoint.huggingface.load_language_model(tmp_path)
  tokens, mask, positions = _batch([12, 7, 1], 12, config.vocab_size)
  expected = torch_models.logits(torch_model, tokens, mask.astype(np.int64))
  got, _ = models.LanguageModel(config).apply(params, tokens, positions)
  assert 1 < np.abs(expected[mask]).max() < 30
  np.testing.assert_allclose(got[mask], expected[mask], atol=1e-4, rtol=0)
