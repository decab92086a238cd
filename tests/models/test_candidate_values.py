import jax
import numpy as np
import pytest
from oracles import decoders

from qsharp_jax import models

LENGTHS, PROMPT, STEPS, CANDIDATES = [9, 4, 1], 9, 4, 5


def _full(model, params, rows):
  """Value logits [K] at each row's last token, all rows in one pass."""
  tokens, positions = decoders.right_padded(rows, PROMPT + STEPS)
  values = jax.jit(model.apply)(params, tokens, positions)
  return values[np.arange(len(rows)), [len(row) - 1 for row in rows]]


@pytest.mark.parametrize(
  ("variant", "kind", "num_atoms"),
  [
    ("gpt2", "v", 1),
    ("llama31", "v", 1),
    ("mistral", "v", 1),
    ("qwen2_windows", "v", 3),
    ("qwen3", "v", 1),
    ("gpt2", "q", 1),
    ("llama31", "q", 1),
    ("mistral", "q", 3),
  ],
)
def test_block_scores_equal_a_full_forward(variant, kind, num_atoms):
  config = decoders.config(variant)
  model = models.ValueModel(config, models.HeadConfig(kind, num_atoms))
  params = decoders.params(model)
  tokens, mask, positions = decoders.left_padded(LENGTHS, PROMPT, 97)
  rng = np.random.default_rng(2)
  # The prompt's last token is the newest one: it enters with the candidates.
  prefill = jax.jit(lambda p, *args: model.apply(p, *args, method="prefill"))
  cache = prefill(params, tokens[:, :-1], positions[:, :-1])
  cache = models.cache.grow(cache, PROMPT - 1 + STEPS)
  step = jax.jit(
    lambda p, *args: model.apply(p, *args, method="candidate_values")
  )
  prefixes = [list(tokens[i][mask[i]]) for i in range(3)]
  scored, rows = [], []
  for t in range(STEPS):
    newest = np.array([prefix[-1] for prefix in prefixes], np.int32)
    candidates = rng.integers(0, 97, (3, CANDIDATES)).astype(np.int32)
    got, cache = step(params, newest, positions[:, -1] + t, candidates, cache)
    assert got.shape == (3, CANDIDATES, num_atoms)
    scored.append(got.reshape(-1, num_atoms))
    rows += [[*prefixes[i], c] for i in range(3) for c in candidates[i]]
    for i, prefix in enumerate(prefixes):
      # Sometimes a candidate is drawn, sometimes a token that was never scored.
      prefix.append(candidates[i, 0] if (i + t) % 2 else (t * 31 + i) % 97)
  expected = _full(model, params, rows)
  assert np.std(expected) > 0.1
  np.testing.assert_allclose(
    np.concatenate(scored), expected, atol=1e-5, rtol=1e-5
  )
  assert int(cache.index) == 0  # the ring is full


def test_zero_head_gives_the_same_value_everywhere():
  config = decoders.config("llama")
  tokens = np.arange(8, dtype=np.int32)[None]
  for head in (models.HeadConfig("v", 5), models.HeadConfig("q")):
    model = models.ValueModel(config, head)
    run = lambda key, m=model: m.init_with_output(key, tokens, tokens)[0]
    assert not np.any(jax.jit(run)(jax.random.key(0)))


def test_q_type_answers_for_the_token_after_the_one_it_reads():
  config = decoders.config("llama")
  model = models.ValueModel(config, models.HeadConfig("q"))
  params = decoders.params(model)
  tokens = np.arange(8, dtype=np.int32)[None]
  hidden, _ = jax.jit(models.Backbone(config).apply)(
    {"params": params["params"]["backbone"]}, tokens, tokens
  )
  got = jax.jit(model.apply)(params, tokens, tokens)
  for t in range(1, 8):
    expected = params["params"]["head"][t] @ hidden[0, t - 1]
    np.testing.assert_allclose(got[0, t], expected, atol=1e-5)
