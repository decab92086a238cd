"""Who gets credit for a reward: from samples to the labels of a method."""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from qsharp_jax import data, models
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.finetuning import objectives as policy_objectives
from qsharp_jax.finetuning import on_policy
from qsharp_jax.ops import policy_gradient
from qsharp_jax.sharding import layout as layout_lib
from qsharp_jax.sharding import processes
from qsharp_jax.training import objectives

Baseline = Literal["leave_one_out", "batch"]

# (parameters, batch, rewards at last tokens [B, T], ref log-probs [B, T]) ->
# rewards of all tokens [B, T], before the KL penalty.
DenseRewards = Callable[[PyTree, objectives.Batch, Array, Array], Array]


def reinforce(*, eta: float, baseline: Baseline) -> on_policy.Credit:
  """One advantage for all tokens of a sample, the KL penalty included.

  The labels that `policy_objectives.reinforce` wants.
  """
  advantage_fn = {
    "leave_one_out": policy_gradient.leave_one_out,
    "batch": policy_gradient.batch_baseline,
  }[baseline]

  def label(found: on_policy.Experience) -> Iterable[np.ndarray]:
    total = lambda name: np.array(
      [[getattr(c, name).sum() for c in g] for g in found.completions]
    )
    rewards = policy_gradient.penalised(
      found.rewards, total("log_probs"), total("ref_log_probs"), eta=eta
    )
    advantages = np.asarray(advantage_fn(rewards, found.is_graded))
    for group, row in zip(found.completions, advantages, strict=True):
      for completion, advantage in zip(group, row, strict=True):
        yield np.full(len(completion.tokens), advantage)

  return on_policy.Credit(label)


def a_star_po(values: Mapping[str, float]) -> on_policy.Credit:
  """Reward minus the optimal value of the question, `values` by its id.

  The labels that `policy_objectives.a_star_po` wants.
  """

  def label(found: on_policy.Experience) -> Iterable[np.ndarray]:
    for problem, group, rewards in zip(
      found.problems, found.completions, found.rewards, strict=True
    ):
      for completion, reward in zip(group, rewards, strict=True):
        advantage = np.full(len(completion.tokens), reward - values[problem.id])
        yield np.stack([completion.ref_log_probs, advantage], axis=-1)

  return on_policy.Credit(label)


def actor_critic(
  critic: models.ValueModel,
  layout: layout_lib.Layout,
  *,
  eta: float,
  discount: float,
  decay: float,
  batch_size: int,
  dense: tuple[DenseRewards, PyTree] | None = None,
) -> on_policy.Credit:
  """Generalised advantages of KL-penalised token rewards, whitened.

  The labels that `policy_objectives.ppo` wants; parameters are {"policy": …,
  "critic": …}.

  Args:
    critic: the value model.
    layout: places batches.
    eta: KL weight, in reward units.
    discount: gamma of the advantages.
    decay: lambda of the advantages.
    batch_size: rows that the critic reads at a time; those of an iteration are
      a multiple of it.
    dense: what makes token rewards, and its parameters; None leaves the reward
      to the last token.
  """
  dense_fn, dense_params = dense or (lambda _, batch, rewards, ref: rewards, {})

  @jax.jit
  def estimate(
    params: PyTree, dense_params: PyTree, batch: objectives.Batch
  ) -> Array:
    old, ref, rewards = jnp.moveaxis(batch["labels"], -1, 0)
    rewards = dense_fn(dense_params, batch, rewards, ref)
    rewards = policy_gradient.penalised(rewards, old, ref, eta=eta)
    values = policy_objectives.state_values(critic, params, batch)
    segments = batch["segments"]
    is_last = segments != jnp.pad(segments[:, 1:], ((0, 0), (0, 1)))
    advantages = policy_gradient.gae(
      rewards, values, is_last, discount=discount, decay=decay
    )
    return jnp.stack([old, advantages, advantages + values, values], axis=-1)

  def finish(params: PyTree, rows: data.Packed) -> np.ndarray:
    parts = []
    for start in range(0, len(rows.tokens), batch_size):
      batch = {
        name: field[start : start + batch_size]
        for name, field in rows._asdict().items()
        if name != "sequence_ids"
      }
      found = estimate(params["critic"], dense_params, layout.place(batch))
      parts.append(processes.fetch(found))
    labels = np.concatenate(parts)
    labels[..., 1] = policy_gradient.whiten(labels[..., 1], rows.mask)
    return np.where(rows.mask[..., None], labels, 0.0)

  return on_policy.Credit(
    _at_last_token, finish, policy=lambda params: params["policy"]
  )


def _at_last_token(found: on_policy.Experience) -> Iterable[np.ndarray]:
  """Both log-probabilities, and the reward at the last token. [n, 3]."""
  for group, rewards in zip(found.completions, found.rewards, strict=True):
    for completion, reward in zip(group, rewards, strict=True):
      at_last = np.arange(len(completion.tokens)) == len(completion.tokens) - 1
      yield np.stack(
        [completion.log_probs, completion.ref_log_probs, reward * at_last],
        axis=-1,
      )
