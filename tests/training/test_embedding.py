import jax
import numpy as np
from oracles import players

from qsharp_jax import sharding
from qsharp_jax.sharding import mesh as mesh_lib
from qsharp_jax.training import embedding


def test_the_mean_of_the_states_whatever_the_batch():
  model, params = players.policy("v").value, players.params("v")["value"]
  sequences = [[4, 5, 6], [7], [1, 2, 3, 4, 5]]
  layout = sharding.Layout(mesh_lib.make_mesh())
  with layout.context():
    found = embedding.mean_hidden(
      model, params, sequences, length=8, batch_size=8, layout=layout
    )
  assert found.shape == (3, players.CONFIG.width)
  for row, sequence in zip(found, sequences, strict=True):
    tokens = np.array([sequence], np.int32)
    positions = np.arange(len(sequence), dtype=np.int32)[None]
    hidden = jax.device_get(
      model.apply(params, tokens, positions, method="hidden")
    )
    np.testing.assert_allclose(row, hidden[0].mean(axis=0), atol=1e-5)
