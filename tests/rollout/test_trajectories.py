"""Controls drawn from a key, and rows of samples; see test_program too."""

import jax
import jax.numpy as jnp
import numpy as np

from qsharp_jax.rollout import trajectories

M = 3


def test_switches_are_uniform_and_streams_differ():
  controls = trajectories.draw_controls(
    jax.random.key(3), 4000, eta=0.1, horizon=5, num_new_tokens=M
  )
  counts = np.bincount(controls.guided_steps)
  assert len(counts) == 5 and np.abs(counts - 800).max() < 5 * 800**0.5
  assert len(set(np.asarray(controls.seeds).tolist())) > 3990
  first = trajectories.draw_controls(
    jax.random.key(3), 4, eta=0.1, horizon=1, num_new_tokens=M
  )
  assert first.guided_steps.tolist() == [0] * 4


def test_rows_by_hand():
  # Two samples of one prompt (7, 9): one of three tokens, labelled from its
  # second on, and one that ended before its switch.
  problems = trajectories.Problems(
    prompts=jnp.array([[0, 7, 9]]),
    positions=jnp.array([[-1, 0, 1]]),
    answers=None,
  )
  nothing = jnp.zeros((2, M))
  found = trajectories.Trajectories(
    tokens=jnp.array([[4, 5, 1], [1, 0, 0]]),
    lengths=jnp.array([3, 1]),
    ended=jnp.array([True, True]),
    log_probs=nothing,
    ref_log_probs=nothing,
    kl=nothing,
    kl_filtered=nothing,
    rewards=jnp.array([[0.0, 1.0, 2.0], [5.0, 0.0, 0.0]]),
    labels=jnp.array([[3.0, 3.0, 2.0], [5.0, 0.0, 0.0]]),
    first_label=jnp.array([1, 2]),
  )
  rows = trajectories.batch(problems, found)
  assert rows["tokens"].tolist() == [[0, 7, 9, 4, 5, 1], [0, 7, 9, 1, 0, 0]]
  assert rows["positions"].tolist() == [
    [-1, 0, 1, 2, 3, 4],
    [-1, 0, 1, 2, -1, -1],
  ]
  assert rows["segments"].tolist() == [[0, 1, 1, 1, 1, 1], [0, 1, 1, 1, 0, 0]]
  assert rows["mask"].astype(int).tolist() == [[0] * 4 + [1, 1], [0] * 6]
  assert rows["labels"].tolist() == [[0, 0, 0, 0, 3, 2], [0] * 6]
