"""What every public function of the room promises of its arguments.

A function that is new to the room, or that stops checking, fails here.
"""

import inspect

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from qsharp_jax import ops

ROWS, SIZE, ATOMS = 2, 4, 3


def floats(*shape):
  drawn = np.random.default_rng(len(shape)).normal(size=shape)
  return jnp.asarray(drawn, jnp.float32)


SCORES = floats(ROWS, SIZE)
LOG_PROBS = jax.nn.log_softmax(SCORES)
DISTRIBUTION = jax.nn.log_softmax(floats(ROWS, SIZE, ATOMS))
SUPPORT = jnp.array([0.0, 0.5, 1.0])
ROLLOUTS = floats(ROWS, SIZE, 5)
MASK = jnp.array([[True, False, True, True], [False, True, True, True]])
TOKENS = jnp.array([[0, 3, 1, 2], [2, 0, 1, 3]])
LENGTHS = jnp.array([2, 4])
CATEGORICAL = {"loss": "categorical", "atoms": (0.0, 0.5, 1.0)}
PAIRS = [floats(ROWS) for _ in range(4)]

# Arguments that are arrays, and settings, of each function.
GOOD = {
  "distributions.two_hot": ([SCORES, SUPPORT], {}),
  "distributions.mean": ([DISTRIBUTION, SUPPORT], {}),
  "distributions.variance": ([DISTRIBUTION, SUPPORT], {}),
  "distributions.log_mean_exp": ([DISTRIBUTION, SUPPORT], {"eta": 0.5}),
  "distributions.crps": ([DISTRIBUTION, SUPPORT, SCORES], {}),
  "distributions.pit": ([DISTRIBUTION, SUPPORT, SCORES], {}),
  "distributions.projected_pit": ([DISTRIBUTION, SUPPORT, SCORES], {}),
  "filtering.apply_temperature": ([SCORES], {"temperature": 0.5}),
  "filtering.top_k": ([LOG_PROBS], {"k": 2}),
  "filtering.top_p": ([LOG_PROBS], {"top_p": 0.7}),
  "filtering.gumbels_below": ([LOG_PROBS, SCORES], {"greatest": 0.5}),
  "filtering.sample": ([LOG_PROBS, jnp.array([0.1, 0.9])], {}),
  "guidance.qsharp_bernoulli": ([SCORES], {"eta": 0.5}),
  "guidance.qsharp_categorical": ([DISTRIBUTION, SUPPORT], {"eta": 0.5}),
  "guidance.cd": ([SCORES], {"eta": 0.5}),
  "guidance.vas": ([SCORES], {"eta": 0.5}),
  "guidance.fudge": ([SCORES], {"strength": 2.0}),
  "guidance.args": ([SCORES], {"strength": 2.0}),
  "guidance.log_ratio": ([SCORES], {"strength": 2.0}),
  "guidance.transfer_direct": ([ROLLOUTS], {"eta": 0.5}),
  "guidance.transfer_indirect": (
    [ROLLOUTS, 2 * ROLLOUTS],
    {"eta": 0.5, "beta": 0.3},
  ),
  "guidance.zero_floor": ([SCORES], {}),
  "kl.at_tokens": ([SCORES, TOKENS], {"vocab_size": 6}),
  "kl.tilted_log_probs": ([SCORES, LOG_PROBS], {}),
  "kl.optimal_log_probs": ([SCORES, LOG_PROBS], {"eta": 0.5}),
  "kl.soft_value": ([SCORES, LOG_PROBS], {"eta": 0.5}),
  "kl.kl_divergence": ([LOG_PROBS, LOG_PROBS[::-1]], {}),
  "losses.bernoulli": ([SCORES, jax.nn.sigmoid(SCORES)], {}),
  "losses.categorical": ([DISTRIBUTION, jnp.exp(DISTRIBUTION)], {}),
  "losses.squared_error": ([SCORES, LOG_PROBS], {}),
  "losses.next_token": ([floats(ROWS, SIZE, 6), TOKENS], {}),
  "losses.sequence_weights": ([MASK, jnp.minimum(TOKENS, 2)], {}),
  "losses.weighted_sum": ([SCORES, jnp.abs(SCORES)], {}),
  "advantages.leave_one_out": ([SCORES, MASK], {}),
  "advantages.batch_baseline": ([SCORES, MASK], {}),
  "advantages.group_relative": ([SCORES, MASK], {}),
  "advantages.whiten": ([SCORES, MASK], {}),
  "policy_gradient.reinforce": ([LOG_PROBS, SCORES], {}),
  "advantages.gae": ([SCORES, LOG_PROBS, MASK], {}),
  "policy_gradient.ppo": ([LOG_PROBS, LOG_PROBS[::-1], SCORES], {}),
  "policy_gradient.k3": ([LOG_PROBS, LOG_PROBS[::-1]], {}),
  "policy_gradient.clipped_value": ([SCORES, LOG_PROBS, SCORES[::-1]], {}),
  "advantages.penalised": (
    [SCORES, LOG_PROBS, LOG_PROBS[::-1]],
    {"eta": 0.5},
  ),
  "advantages.rto": ([SCORES, LOG_PROBS, LOG_PROBS[::-1]], {}),
  "advantages.soft_value": ([SCORES, MASK], {"eta": 0.5}),
  "policy_gradient.a_star_po": ([LOG_PROBS, LOG_PROBS[::-1], SCORES], {}),
  "preferences.dpo": (PAIRS, {}),
  "preferences.rpo": ([*PAIRS, jnp.array([3.0, 5.0])], {}),
  "preferences.bradley_terry": (PAIRS[:2], {"margin": 0.5}),
  "preferences.cpl": (PAIRS[:2], {}),
  "readout.distribution": ([DISTRIBUTION], CATEGORICAL),
  "readout.mean": ([DISTRIBUTION], CATEGORICAL),
  "readout.token_loss": (
    [DISTRIBUTION, jax.nn.sigmoid(SCORES)],
    CATEGORICAL,
  ),
  "token_rewards.at_end": ([TOKENS, LENGTHS, SCORES[:, 0]], {}),
  "token_rewards.by_token": ([TOKENS, LENGTHS, SCORES], {}),
  "token_rewards.to_go": ([SCORES], {}),
}
# Of numbers of any kind and shape: `support` refuses by an error of its own,
# `kl_floor` and bounds of weights broadcast, `bounds` takes settings alone,
# `mixed` takes a list, and has tests of its own below; `is_written` gives no
# numbers, `listed` takes a table (tests/ops/test_token_rewards.py).
FREE = {
  "distributions.support",
  "guidance.fudge_bound",
  "guidance.mixed",
  "guidance.reward_bound",
  "kl.kl_floor",
  "readout.bounds",
  "token_rewards.is_written",
  "token_rewards.listed",
}
# Numbers of any kind are welcome: rewards to project, masks of 0 and 1, counts.
ANY_TYPE = {
  ("distributions.two_hot", 0),
  ("losses.sequence_weights", 0),
  ("preferences.rpo", 4),
}
# Any shape is welcome.
ANY_RANK = {("distributions.two_hot", 0)}
# A distribution may have any number of leading axes, whatever its atoms have.
DISTRIBUTIONS = {
  "distributions.mean",
  "distributions.variance",
  "distributions.log_mean_exp",
  "guidance.qsharp_categorical",
}
# They take and give numbers of the type that other functions made.
IN_THEIR_TYPE = {
  "filtering.sample",
  "kl.at_tokens",
  "guidance.zero_floor",
  "losses.sequence_weights",
  "losses.weighted_sum",
  "policy_gradient.a_star_po",
  "advantages.gae",
  "advantages.penalised",
  "advantages.rto",
  "preferences.dpo",
  "preferences.rpo",
  "token_rewards.at_end",
  "token_rewards.by_token",
  "token_rewards.to_go",
}
ARGUMENTS = [(name, i) for name in GOOD for i in range(len(GOOD[name][0]))]


def find(name):
  module, function = name.split(".")
  return getattr(getattr(ops, module), function)


def call(name, index, change):
  """Calls the function after changing one of its good arguments."""
  arguments, settings = GOOD[name]
  changed = [change(x) if i == index else x for i, x in enumerate(arguments)]
  return find(name)(*changed, **settings)


def test_every_function_is_here():
  found = {
    f"{room}.{name}"
    for room in ops.__all__
    for name, function in inspect.getmembers(
      getattr(ops, room), inspect.isfunction
    )
    if function.__module__ == f"qsharp_jax.ops.{room}"
    and not name.startswith("_")
  }
  assert found == GOOD.keys() | FREE


@pytest.mark.parametrize(
  ("name", "index"), [a for a in ARGUMENTS if a not in ANY_TYPE]
)
def test_a_wrong_type_is_refused(name, index):
  wrong = lambda x: x.astype(
    jnp.int32 if jnp.issubdtype(x.dtype, jnp.floating) else jnp.float32
  )
  with pytest.raises(AssertionError, match="assert_type"):
    call(name, index, wrong)


@pytest.mark.parametrize(
  ("name", "index"), [a for a in ARGUMENTS if a not in ANY_RANK]
)
def test_a_wrong_rank_is_refused(name, index):
  arguments, _ = GOOD[name]
  # One array alone may have any number of leading axes, but not none at all.
  alone = len(arguments) == 1 or (name in DISTRIBUTIONS and index == 0)
  wrong = (lambda x: x.ravel()[0]) if alone else (lambda x: x[None])
  with pytest.raises(AssertionError, match="Chex"):
    call(name, index, wrong)


def test_mixed_refuses_other_types_and_shapes():
  with pytest.raises(AssertionError, match="assert_type"):
    ops.guidance.mixed([SCORES, TOKENS])
  with pytest.raises(AssertionError, match="assert_equal_shape"):
    ops.guidance.mixed([SCORES, SCORES[None]])


class TestStages(chex.TestCase):
  @chex.variants(with_jit=True, without_jit=True)
  @parameterized.parameters(*GOOD)
  def test_results_are_finite_floats_of_32_bits_or_tokens(self, name):
    arguments, settings = GOOD[name]
    expected = find(name)(*arguments, **settings)
    found = self.variant(lambda *x: find(name)(*x, **settings))(*arguments)
    chex.assert_trees_all_close(found, expected, rtol=1e-5, atol=1e-6)
    kind = jnp.int32 if name == "filtering.sample" else jnp.float32
    for leaf in jax.tree.leaves(found):
      chex.assert_type(leaf, kind)
      assert not np.isnan(leaf).any()

  @chex.variants(with_jit=True, without_jit=True)
  @parameterized.parameters(*(n for n in GOOD if n not in IN_THEIR_TYPE))
  def test_half_precision_is_computed_in_32_bits(self, name):
    arguments, settings = GOOD[name]
    # The policy and its scores come in the model's type.
    half = [arguments[0].astype(jnp.bfloat16), *arguments[1:]]
    found = self.variant(lambda *x: find(name)(*x, **settings))(*half)
    for leaf in jax.tree.leaves(found):
      chex.assert_type(leaf, jnp.float32)
