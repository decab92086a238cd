import jax
import numpy as np
import pytest
from oracles import decoders

from qsharp_jax import models

LENGTHS, PROMPT, NEW = [7, 3, 1], 7, 6


def _full(model, params, rows):
  """Logits of every row in one pass, without cache or left padding."""
  tokens, positions = decoders.right_padded(rows, PROMPT + NEW)
  return jax.jit(model.apply)(params, tokens, positions)[0]


@pytest.mark.parametrize(
  "variant",
  [
    "gpt2",
    "llama31",
    "llama_biases",
    "mistral",
    "qwen2_windows",
    "qwen3",
    "neox",
    "gemma",
    "gemma2",
    "gemma3",
    "olmo2",
    "phi3_partial",
  ],
)
def test_prefill_and_steps_equal_a_full_forward(variant):
  config = decoders.config(variant)
  model = models.LanguageModel(config)
  params = decoders.params(model)
  tokens, mask, positions = decoders.left_padded(LENGTHS, PROMPT, 97)
  new, _, _ = decoders.left_padded([NEW] * 3, NEW, 97, seed=1)
  apply = jax.jit(lambda p, t, at, c: model.apply(p, t, at, cache=c))
  # Room grows after the prefill, and holds one slot that stays empty.
  cache = models.cache.empty(config, 3, PROMPT)
  logits, cache = apply(params, tokens, positions, cache)
  cache = models.cache.grow(cache, PROMPT + NEW + 1)
  seen = [logits]
  for t in range(NEW):
    at = (positions[:, -1:] + 1 + t).astype(np.int32)
    logits, cache = apply(params, new[:, t : t + 1], at, cache)
    seen.append(logits)
  seen = np.concatenate(seen, axis=1)
  assert int(cache.index) == PROMPT + NEW
  rows = [np.concatenate([tokens[i][mask[i]], new[i]]) for i in range(3)]
  expected = _full(model, params, rows)
  assert np.abs(expected).max() > 0.5
  for i, length in enumerate(LENGTHS):
    np.testing.assert_allclose(
      seen[i, PROMPT - length :],
      expected[i, : length + NEW],
      atol=3e-5,
      rtol=1e-5,
    )


def test_repeated_rows_decode_like_their_source():
  config = decoders.config("qwen2_windows")
  model = models.LanguageModel(config)
  params = decoders.params(model)
  tokens, _, positions = decoders.left_padded([5, 2], 5, 97)
  cache = models.cache.empty(config, 2, 5)
  apply = jax.jit(lambda p, t, at, c: model.apply(p, t, at, cache=c))
  _, cache = apply(params, tokens, positions, cache)
  cache = models.cache.repeat(models.cache.grow(cache, 6), 3)
  newest = np.arange(6, dtype=np.int32)[:, None]
  at = np.repeat(positions[:, -1:] + 1, 3, axis=0)
  got, _ = apply(params, newest, at, cache)
  lengths = [5, 5, 5, 2, 2, 2]
  rows = [
    np.append(tokens[i // 3, 5 - n :], newest[i]) for i, n in enumerate(lengths)
  ]
  expected = _full(model, params, rows)[np.arange(6), lengths]
  np.testing.assert_allclose(got[:, 0], expected, atol=3e-5, rtol=1e-5)
