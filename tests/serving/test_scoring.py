"""A prompt's numbers are those of a plain forward pass."""

import numpy as np
import pytest
from oracles import engines, players

from qsharp_jax.serving import scoring


@pytest.mark.parametrize("length", [1, 2, 9])
def test_scores_are_those_of_a_forward_pass(length):
  model = engines.policy().reference
  params = players.params("v")["reference"]
  (tokens,) = players.prompts([length])
  log_probs, top = scoring.score(model, params, tokens, width=16, num_top=5)
  assert log_probs.shape == (length - 1,) and top.tokens.shape[0] == length - 1
  places = np.arange(length, dtype=np.int32)[None]
  logits = np.asarray(model.apply(params, np.array([tokens]), places)[0])[0]
  wanted = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  for i in range(length - 1):
    np.testing.assert_allclose(
      log_probs[i], wanted[i, tokens[i + 1]], atol=1e-4
    )
    best = np.argsort(-wanted[i])[:5]
    assert top.tokens[i].tolist() == best.tolist()
    np.testing.assert_allclose(top.log_probs[i], wanted[i, best], atol=1e-4)
