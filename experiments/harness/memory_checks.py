"""What a run will hold in memory, checked before anything is sampled.

Everything is arithmetic on shapes (`generate/memory.py`, `training/memory.py`)
for one device: the first one of this host, or one that is not here.
"""

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from typing import Protocol

import ml_collections
from absl import logging
from flax import linen as nn

from qsharp_jax import generate, pipeline, rollout, sharding
from qsharp_jax.finetuning import base, on_policy
from qsharp_jax.generate import memory
from qsharp_jax.training import memory as training_memory

_MOST_VALUES = 2  # rounds whose values an evaluation keeps in memory


class Sizes(Protocol):
  """Of a `training.Fit`, or of the part of a config that becomes one."""

  batch_size: int
  max_length: int
  num_microbatches: int


def available(where: sharding.Layout) -> int:
  """Bytes of a device. A process knows its own; the others' are like them."""
  return memory.available_bytes(list(where.mesh.local_devices))


def collection(
  config: ml_collections.ConfigDict,
  policy: generate.Policy,
  where: sharding.Layout,
  prompt_length: int,
  grading_bytes: int = 0,
) -> None:
  """Refuses a batch of rollouts that does not fit beside a reward model."""
  own = config.sampling

  def predict(batch_size):
    return memory.needed(
      policy,
      batch_size=batch_size,
      num_samples=max(config.rounds.num_samples, config.evaluation.num_samples),
      prompt_length=prompt_length,
      max_new_tokens=own.max_new_tokens,
      num_newcomers=min(own.prompts_per_refill, batch_size),
      mesh=where.mesh,
    )

  memory.check(
    functools.partial(_beside_grading, grading_bytes, predict),
    own.batch_size,
    available(where),
  )


def values(
  how: Sizes,
  policy: generate.Policy,
  mesh: memory.Mesh,
  num_bytes: int,
  grading_bytes: int = 0,
) -> int:
  """Micro-batches with which the values can be trained.

  Args:
    how: its `num_microbatches` is the least number.
    policy: the value model, and the reference, which stays in memory.
    mesh: of the devices.
    num_bytes: that each of them has.
    grading_bytes: that a reward model keeps of them.

  Raises:
    InputError: the training does not fit.
  """
  held = memory.parameter_bytes(policy.reference, mesh) + grading_bytes
  predict = functools.partial(trained, [policy.value], how, mesh, held)
  return _num_microbatches("fit", how, predict, mesh, num_bytes)


def trained(
  models: Sequence[nn.Module],
  how: Sizes,
  mesh: memory.Mesh,
  beside: int,
  num_microbatches: int,
) -> training_memory.Needed:
  """What a step of training holds; see `training_memory.needed`."""
  return training_memory.needed(
    models,
    rows=how.batch_size,
    length=how.max_length,
    num_microbatches=num_microbatches,
    mesh=mesh,
    beside=beside,
  )


def tuned(
  run: pipeline.Run, name: str, settings: base.Settings
) -> base.Settings:
  """The settings of a fine-tuned policy, with micro-batches that fit.

  Args:
    run: it starts from whose reference.
    name: of the policy.
    settings: its own, those of policies before it included.

  Raises:
    InputError: its training does not fit, or the samples that it takes.
  """
  inner = {
    field.name: tuned(run, f"{name}.{field.name}", own)
    for field in dataclasses.fields(settings)
    if isinstance(own := getattr(settings, field.name), base.Settings)
  }
  mesh, num_bytes = run.layout.mesh, available(run.layout)
  reference = run.players.policy.reference
  held = memory.parameter_bytes(reference, mesh) + run.task.grading_bytes
  predict = functools.partial(
    trained, settings.trained(reference), settings.fit, mesh, held
  )
  label = f"baselines.{name}.fit"
  num_microbatches = _num_microbatches(
    label, settings.fit, predict, mesh, num_bytes
  )
  if isinstance(settings, on_policy.Plan):
    _check_on_policy(run, name, settings, predict(num_microbatches).state)
  fit = dataclasses.replace(settings.fit, num_microbatches=num_microbatches)
  return dataclasses.replace(settings, fit=fit, **inner)


def evaluation(
  run: pipeline.Run, what: pipeline.Evaluation, grading_bytes: int = 0
) -> None:
  """Refuses methods whose samples do not fit, those of the reference too.

  Args:
    run: that is evaluated.
    what: its methods.
    grading_bytes: that all reward models keep of each device.

  Raises:
    InputError: names the method, and the largest batch that fits.
  """
  own = memory.parameter_bytes(run.players.policy.value, run.layout.mesh)
  held = own * min(_MOST_VALUES, run.rounds.num_rounds)
  methods = {"reference": pipeline.methods.reference(run)} | dict(what.methods)
  for name, split in itertools.product(methods, ("validation", "test")):
    method = methods[name]
    predict = functools.partial(
      _beside,
      held,
      functools.partial(
        sampled,
        run,
        method,
        method.num_samples or what.num_samples,
        kl_every=pipeline.jobs.kl_every(what, method, split),
      ),
    )
    memory.check(
      functools.partial(_beside_grading, grading_bytes, predict),
      run.sampling.batch_size,
      available(run.layout),
      name=f"the method {name}",
    )


def sampled(
  run: pipeline.Run,
  method: pipeline.Method,
  num_samples: int,
  batch_size: int,
  kl_every: int = 1,
) -> memory.Needed:
  """What a method holds while it samples the longest prompts."""

  def needed(part: rollout.partly.Part) -> memory.Needed:
    num_newcomers = min(run.sampling.prompts_per_refill, batch_size)
    return method.needs(
      batch_size=batch_size * part.widen,
      num_samples=len(part.samples),
      prompt_length=longest(run),
      max_new_tokens=run.sampling.max_new_tokens,
      num_newcomers=num_newcomers * part.widen,
      mesh=run.layout.mesh,
      **({} if part.is_whole else {"is_whole": False}),
    )

  found = map(needed, rollout.partly.parts(num_samples, kl_every))
  return max(found, key=lambda needed: needed.total)


def _check_on_policy(
  run: pipeline.Run, name: str, plan: on_policy.Plan, state: int
) -> None:
  """The policy samples while its training state stays in memory."""
  reference = run.players.policy.reference

  def predict(batch_size):
    return _beside(
      state,
      functools.partial(
        memory.needed,
        run.unguided(actor=reference),
        num_samples=plan.num_samples,
        prompt_length=longest(run),
        max_new_tokens=run.sampling.max_new_tokens,
        num_newcomers=min(run.sampling.prompts_per_refill, batch_size),
        mesh=run.layout.mesh,
      ),
      batch_size=batch_size,
    )

  memory.check(
    functools.partial(_beside_grading, run.task.grading_bytes, predict),
    min(run.sampling.batch_size, plan.prompts_per_iteration),
    available(run.layout),
    name=f"sampling by {name} while it is trained",
  )


def _beside(held: int, predict, batch_size: int) -> memory.Needed:
  """A prediction, and what is in memory besides."""
  found = predict(batch_size=batch_size)
  return dataclasses.replace(found, value=found.value + held)


def _beside_grading(held: int, predict, batch_size: int) -> memory.Needed:
  """A prediction, and what reward models keep."""
  return dataclasses.replace(predict(batch_size), reward=held)


def _num_microbatches(
  name: str, how: Sizes, predict, mesh: memory.Mesh, num_bytes: int
) -> int:
  found = training_memory.fewest_microbatches(
    name,
    predict,
    num_rows=memory.share(how.batch_size, mesh=mesh, axes=("data", "fsdp")),
    wanted=how.num_microbatches,
    available=num_bytes,
  )
  if found > how.num_microbatches:
    logging.info("%s: %d micro-batches, to fit in memory", name, found)
  return found


def longest(run: pipeline.Run) -> int:
  """Tokens of the longest prompt."""
  task = run.task
  problems = [*task.train, *task.validation, *task.test]
  return max(len(problem.prompt) for problem in problems)
