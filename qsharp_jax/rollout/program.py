"""Roll-in, roll-out, labels, aggregation and update as one compiled program.

Algorithm 1 where nothing needs the host: rewards are functions of token ids,
rollouts stay on the devices, in a buffer that all rounds share. Its parts are
pure functions, made for being called inside a program:

  trajectories.roll_out    prompts and keys to trajectories
  trajectories.batch       these to labelled rows
  buffer.append            rows to the buffer
  buffer.draw              rows out of it

`collect` is the first three as one program, `make_step` all four and the
update. Example, for a policy with values, their train state and an update such
as `training.step.make_step`:

  step = program.make_step(
    policy, reward_fn, update, num_new_tokens=8, num_updates=4, batch_size=32
  )
  rows = buffer.empty(num_batches, num_rows, num_prompt_tokens + 8)
  for key in jax.random.split(jax.random.key(0), num_batches):
    controls_key, step_key = jax.random.split(key)
    controls = trajectories.draw_controls(
      controls_key, num_rows, eta=0.1, horizon=8, num_new_tokens=8
    )
    state, rows, found, metrics = step(
      reference, state, rows, problems, controls, step_key
    )

Run under a mesh (`sharding.Layout.context`), rows stay on the devices that
sampled them; only drawing mixes them.

Source: arXiv 2502.20548, Algorithm 1.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax

from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.generate import policy as policy_lib
from qsharp_jax.rollout import buffer as buffer_lib
from qsharp_jax.rollout import trajectories

Batch = Mapping[str, Array]
# (train state, batch) -> (train state, metrics)
UpdateFn = Callable[[Any, Batch], tuple[Any, Mapping[str, Array]]]


@functools.partial(
  jax.jit,
  static_argnames=("policy", "reward_fn", "num_new_tokens"),
  donate_argnames="buffer",
)
def collect(
  policy: policy_lib.Policy,
  reward_fn: trajectories.RewardFn,
  params: PyTree,
  buffer: buffer_lib.Buffer,
  problems: trajectories.Problems,
  controls: policy_lib.Controls,
  first_label: Array | None = None,
  *,
  num_new_tokens: int,
) -> tuple[buffer_lib.Buffer, trajectories.Trajectories]:
  """Samples, labels and aggregates one batch; arguments as of `roll_out`."""
  found = trajectories.roll_out(
    policy,
    reward_fn,
    params,
    problems,
    controls,
    first_label,
    num_new_tokens=num_new_tokens,
  )
  return buffer_lib.append(buffer, trajectories.batch(problems, found)), found


def make_step(
  policy: policy_lib.Policy,
  reward_fn: trajectories.RewardFn,
  update: UpdateFn,
  *,
  num_new_tokens: int,
  num_updates: int,
  batch_size: int,
) -> Callable[
  ...,
  tuple[Any, buffer_lib.Buffer, trajectories.Trajectories, Mapping[str, Array]],
]:
  """One step of everything, as one program.

  Args:
    policy: with the value model that is trained.
    reward_fn: knows the rewards.
    update: one step of an optimizer; its state has the values as `params`.
    num_new_tokens: M.
    num_updates: U, after each batch of rollouts.
    batch_size: rows of an update, drawn from the whole buffer.

  Returns:
    (params of the reference, train state, buffer, problems, controls, key) ->
    (train state, buffer, trajectories, metrics of each update [U]). The train
    state and the buffer are given up.
  """

  def step(
    reference: PyTree,
    state: Any,
    buffer: buffer_lib.Buffer,
    problems: trajectories.Problems,
    controls: policy_lib.Controls,
    key: Array,
  ):
    dtype = policy.value.config.dtype
    value = jax.tree.map(lambda x: x.astype(dtype), state.params)
    found = trajectories.roll_out(
      policy,
      reward_fn,
      {"reference": reference, "value": value},
      problems,
      controls,
      num_new_tokens=num_new_tokens,
    )
    buffer = buffer_lib.append(buffer, trajectories.batch(problems, found))

    def learn(state: Any, key: Array) -> tuple[Any, Mapping[str, Array]]:
      return update(state, buffer_lib.draw(buffer, key, batch_size))

    keys = jax.random.split(key, num_updates)
    state, metrics = jax.lax.scan(learn, state, keys)
    return state, buffer, found, metrics

  return jax.jit(step, donate_argnums=(1, 2))
