import dataclasses

import chex
import jax
import jax.numpy as jnp
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
  ("variant", "head"),
  [
    ("gpt2", ("v", 1)),
    ("llama31", ("v", 1)),
    ("mistral", ("v", 1)),
    ("qwen2_windows", ("v", 3)),
    ("qwen3", ("v", 1)),
    ("neox", ("v", 1)),
    ("gemma", ("v", 1)),
    ("gemma2", ("v", 1)),
    ("gemma3", ("v", 3)),
    ("olmo2", ("v", 1)),
    ("phi3", ("v", 1)),
    ("gpt2", ("q", 1)),
    ("llama31", ("q", 1)),
    ("mistral", ("q", 3)),
    ("gpt2", ("v", 3, 1)),
    ("llama31", ("v", 1, 2)),
  ],
)
def test_block_scores_equal_a_full_forward(variant, head):
  config, head = decoders.config(variant), models.HeadConfig(*head)
  num_atoms = head.num_atoms
  model = models.ValueModel(config, head)
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


@pytest.mark.parametrize(
  ("variant", "head"),
  [("mistral", ("v", 1)), ("llama31", ("v", 1, 2)), ("gpt2", ("v", 3))],
)
def test_rows_that_wait_are_scored_as_if_read_once(variant, head):
  model = models.ValueModel(decoders.config(variant), models.HeadConfig(*head))
  params = decoders.params(model)
  tokens, _, positions = decoders.left_padded(LENGTHS, PROMPT, 97)
  cache = jax.jit(lambda p, *args: model.apply(p, *args, method="prefill"))(
    params, tokens[:, :-1], positions[:, :-1]
  )
  cache = models.cache.grow(cache, PROMPT + 3)

  @jax.jit
  def step(params, newest, at, candidates, *args):
    values, _, cache = model.apply(
      params, newest, at, candidates, 2, *args, method="first_values"
    )
    return values, cache

  newest, at = tokens[:, -1], positions[:, -1]
  drawn = np.random.default_rng(2).integers(0, 97, (3, 3, 2)).astype(np.int32)
  none, second = np.zeros(3, bool), np.array([False, True, False])
  _, cache = step(params, newest, at, drawn[0], cache, none)
  # The others have gone on; one waits, and then reads what they have read.
  first = np.where(second, newest, 7).astype(np.int32)
  waited, holed = step(params, first, at + ~second, drawn[1], cache, second)
  found, _ = step(params, newest, at, drawn[1], cache, ~none)
  np.testing.assert_allclose(waited[1], found[1], atol=1e-5)
  assert holed.positions[1].tolist().count(int(at[1])) == 1
  assert holed.positions[0].tolist().count(int(at[0]) + 1) == 1
  later = np.full(3, 9, np.int32)
  got, _ = step(params, later, at + 1 + ~second, drawn[2], holed, none)
  rows = [
    [*row[mask >= 0], *[7] * (i != 1), 9, candidate]
    for i, (row, mask) in enumerate(zip(tokens, positions, strict=True))
    for candidate in drawn[2, i]
  ]
  np.testing.assert_allclose(
    got.reshape(6, -1), _full(model, params, rows), atol=1e-5, rtol=1e-5
  )
  rows = [[*tokens[1][positions[1] >= 0], c] for c in drawn[1, 1]]
  np.testing.assert_allclose(
    waited[1], _full(model, params, rows), atol=1e-5, rtol=1e-5
  )


@pytest.mark.parametrize(
  ("variant", "head"), [("mistral", ("v", 1)), ("llama31", ("v", 3, 2))]
)
def test_more_values_are_those_of_one_pass(variant, head):
  model = models.ValueModel(decoders.config(variant), models.HeadConfig(*head))
  params = decoders.params(model)
  tokens, _, positions = decoders.left_padded(LENGTHS, PROMPT, 97)
  drawn = np.random.default_rng(2).integers(0, 97, (3, 5)).astype(np.int32)

  @jax.jit
  def score(params):
    apply = lambda *args, method: model.apply(params, *args, method=method)
    cache = apply(tokens[:, :-1], positions[:, :-1], method="prefill")
    cache = models.cache.grow(cache, PROMPT)
    newest = tokens[:, -1], positions[:, -1], drawn
    whole, after = apply(*newest, cache, method="candidate_values")
    first, told, kept = apply(*newest, 2, cache, method="first_values")
    told = jax.tree.map(lambda x: x[:, 2:], told)
    more = apply(newest[1], drawn[:, 2:], told, kept, method="more_values")
    return whole, jnp.concatenate([first, more], axis=1), after, kept

  whole, parts, after, kept = score(params)
  assert np.std(whole) > 0.05
  np.testing.assert_allclose(parts, whole, atol=1e-5)
  chex.assert_trees_all_close(kept, after, atol=1e-5, rtol=1e-5)


def test_zero_head_gives_the_same_value_everywhere():
  config = decoders.config("llama")
  tokens = np.arange(8, dtype=np.int32)[None]
  for head in (
    models.HeadConfig("v", 5),
    models.HeadConfig("q"),
    models.HeadConfig("v", 5, 1),
  ):
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


@pytest.mark.parametrize("variant", ["gpt2", "llama"])
def test_a_head_reads_what_the_lower_layers_predict(variant):
  """With weight on nothing else, values are log-probabilities."""
  config = dataclasses.replace(
    decoders.config(variant), tied_embeddings=True, num_layers=2
  )
  model = models.ValueModel(config, models.HeadConfig("v", 1, 1))
  params = decoders.params(model)["params"]
  own = params["backbone"] | {"final_norm": params["predicting_norm"]}
  del own["layers_1"]
  params["head"] = np.zeros_like(params["head"])
  params["head"][..., -1] = 1
  lower = models.LanguageModel(dataclasses.replace(config, num_layers=1))
  rows = [[5, 3, 8, 1], [7, 2]]
  for row in rows:
    tokens, positions = decoders.right_padded([row], 4)
    logits, _ = jax.jit(lower.apply)(
      {"params": {"backbone": own}}, tokens, positions
    )
    told = jax.nn.log_softmax(logits[0])[np.arange(len(row) - 1), row[1:]]
    got = jax.jit(model.apply)({"params": params}, tokens, positions)[0, :, 0]
    scale = config.width**0.5
    np.testing.assert_allclose(got[1 : len(row)] / scale, told, atol=1e-5)
    assert got[0] == 0  # which nothing predicts
  # Sequences of one row know nothing of each other.
  both = np.array([[*rows[0], *rows[1]]], np.int32)
  positions = np.array([[0, 1, 2, 3, 0, 1]], np.int32)
  segments = np.array([[1, 1, 1, 1, 2, 2]], np.int32)
  packed = jax.jit(model.apply)({"params": params}, both, positions, segments)
  np.testing.assert_allclose(packed[0, 4:, 0], got[:2], atol=1e-4)
  assert packed[0, 4, 0] == 0


def test_nothing_is_learnt_through_what_is_read():
  config = dataclasses.replace(decoders.config("llama"), tied_embeddings=True)
  model = models.ValueModel(config, models.HeadConfig("v", 1, 1))
  params = decoders.params(model)
  tokens = np.arange(8, dtype=np.int32)[None]
  params["params"]["head"] = np.zeros_like(params["params"]["head"])
  params["params"]["head"][..., -1] = 1
  loss = lambda p: model.apply(p, tokens, tokens).sum()
  grads = jax.jit(jax.grad(loss))(params)["params"]
  assert not any(map(np.any, jax.tree.leaves(grads["backbone"])))
  assert not any(map(np.any, jax.tree.leaves(grads["predicting_norm"])))
  assert np.all(grads["head"])


def test_a_head_that_reads_predictions_can_be_drawn():
  """Parameters are made outside of the loop over sequences."""
  config = decoders.config("llama")
  model = models.ValueModel(config, models.HeadConfig("v", 1, 1))
  one = np.zeros((2, 3), np.int32)
  params = jax.jit(model.init)(jax.random.key(0), one, one)["params"]
  assert params["predicting_norm"]["scale"].value.shape == (config.width,)
  prefill = jax.eval_shape(
    lambda key: model.init(key, one, one, method="prefill"), jax.random.key(0)
  )["params"]
  assert jax.tree.structure(prefill) == jax.tree.structure(params)
