"""A V-type and a Q-type head that hold the same distribution guide alike."""

import jax
import numpy as np
import pytest
from oracles import decoders, players

from qsharp_jax import generate

# A Q-type head looks up what a V-type one reads at the candidate. With every
# layer silenced, a backbone passes the token's embedding on: the V-type
# distribution is a function of the candidate, and a table of it is a Q-type
# head on a backbone that always says the same.


def silenced(params, embedding):
  """A value model's parameters whose layers add nothing."""

  def choose(path, x):
    name = path[-1].key
    if name == "embedding":
      return np.broadcast_to(embedding, x.shape).astype(np.float32)
    return np.ones_like(x) if name == "scale" else np.zeros_like(x)

  return jax.tree_util.tree_map_with_path(choose, jax.device_get(params))


def pair(num_atoms):
  """Parameters of a V-type and a Q-type model of the same distribution."""
  rng = np.random.default_rng(4)
  v_type = silenced(
    players.params("v", num_atoms)["value"],
    rng.normal(size=(players.VOCAB, players.CONFIG.width)),
  )
  head = rng.normal(size=(1, num_atoms, players.CONFIG.width))
  v_type["params"]["head"] = head.astype(np.float32)
  # What the V-type model says after every token of the vocabulary, alone.
  rows = decoders.right_padded([[t] for t in range(players.VOCAB)], 1)
  model = players.policy("v", num_atoms).value
  logits = np.asarray(model.apply(v_type, *rows))[:, 0]
  # An embedding of ones has the norm's own scale: its hidden state is ones.
  q_type = silenced(players.params("q", num_atoms)["value"], 1.0)
  table = np.repeat(logits[..., None], players.CONFIG.width, axis=-1)
  q_type["params"]["head"] = (table / players.CONFIG.width).astype(np.float32)
  return {"v": v_type, "q": q_type}


@pytest.mark.parametrize("num_atoms", [1, 3])
def test_the_same_law_is_the_same_policy(num_atoms):
  values = pair(num_atoms)
  found = {}
  for kind, value in values.items():
    params = players.params(kind, num_atoms) | {"value": value}
    groups = generate.generate(
      players.policy(kind, num_atoms),
      params,
      players.requests(eta=0.3),
      players.SAMPLING,
    )
    found[kind] = [completion for group in groups for completion in group]
  for v_type, q_type in zip(found["v"], found["q"], strict=True):
    np.testing.assert_array_equal(v_type.tokens, q_type.tokens)
    for name in ("log_probs", "ref_log_probs", "kl", "kl_filtered"):
      np.testing.assert_allclose(
        getattr(v_type, name), getattr(q_type, name), atol=1e-4
      )
  # Guidance did something, so that it is the distribution that is compared.
  assert max(completion.kl.max() for completion in found["v"]) > 0.3
