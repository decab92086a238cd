"""Who samples for each row of the report: guided or tuned policies."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qsharp_jax import generate, models, rollout
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import guided as guided_lib
from qsharp_jax.generate import memory
from qsharp_jax.pipeline import bindings, values
from qsharp_jax.pipeline import run as run_lib


def nothing() -> None:
  """The preparation of a method that needs none."""


@dataclasses.dataclass(frozen=True)
class Method:
  """How to sample, at each of some KL weights."""

  sampler: Callable[[int], rollout.Sampler]  # round of the values -> sampler
  etas: Sequence[float | None] = (None,)  # None where there is no such number
  has_rounds: bool = False
  # Trains what the sampler loads, in a stage of its own; quick if it is there.
  prepare: Callable[[], object] = nothing
  num_samples: int | None = None  # None: as many as are asked of all
  guidance: generate.Guidance | None = None  # if candidates have log-weights
  # What else decides the samples, as plain data by name.
  settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  has_values: bool = True  # of the last round, where it has no rounds
  # Bytes that it holds while it samples, by the sizes that `memory.needed`
  # takes beside a policy.
  needs: Callable[..., memory.Needed] | None = None
  # Candidates may be left unscored where no KL is wanted.
  is_lazy: bool = False

  def made_from(self, run: run_lib.Run, round_index: int) -> dict[str, Any]:
    """All that decides the samples beyond what all methods share.

    Args:
      run: where it samples.
      round_index: of the values that guide; 0: of those of no round.
    """
    found = dict(self.settings) | run.workdir.digests_of(self.prepare)
    if self.guidance is not None:
      found |= bindings.guided(run, self.guidance)
    if round_index or self.has_values:
      found |= bindings.values(run, round_index or run.rounds.num_rounds)
    return found


def reference(run: run_lib.Run) -> Method:
  """The reference alone."""
  return Method(
    lambda _: run.sampler(None), has_values=False, needs=needs(run.unguided())
  )


def needs(policy: generate.Policy, **own: int) -> Callable[..., memory.Needed]:
  """What sampling from a policy holds, by sizes; `own` ones are the method's.

  Args:
    policy: the models, of which only the shapes matter.
    **own: sizes of `memory.needed` that the method decides itself.
  """
  # A KL takes the scores of all candidates.
  whole = dataclasses.replace(policy, num_scored=0)

  def found(*, is_whole: bool = True, **sizes: Any) -> memory.Needed:
    return memory.needed(whole if is_whole else policy, **(sizes | own))

  return found


def guided(
  run: run_lib.Run, guidance: generate.Guidance, etas: Sequence[float]
) -> Method:
  """The reference, or what is its actor, guided by the values of a round."""
  policy = dataclasses.replace(run.players.policy, guidance=guidance)

  def sampler(round_index: int) -> rollout.Sampler:
    return run.sampler_of(policy, {"value": run.values(round_index)})

  return Method(
    sampler,
    etas,
    has_rounds=True,
    guidance=guidance,
    needs=needs(policy),
    is_lazy=run.is_lazy(policy),
  )


def mixture(
  run: run_lib.Run,
  guidance: generate.Guidance,
  etas: Sequence[float],
  *,
  others: Sequence[str],
  weights: Sequence[float],
) -> Method:
  """Guided by a weighted sum of rewards, one value model for each.

  Args:
    run: its last value model is the first member.
    guidance: for the values of every member.
    etas: KL weights, in units of the sum.
    others: directories of the other members, trained with the same loss.
    weights: of the rewards, > 0, that of the run's own first.

  Raises:
    InputError: not one weight for each member, or one that is not positive.
  """
  if len(weights) != 1 + len(others) or not all(w > 0 for w in weights):
    raise InputError(
      f"the weights of the mixture are {list(weights)}; expected one above 0 "
      f"for the run's own values and for each of the {len(others)} others"
    )
  both = guided_lib.mixture((guidance,) * len(weights), tuple(weights))
  found = [run.players.policy.value, *(_value_of(run, x) for x in others)]
  policy = dataclasses.replace(
    run.players.policy,
    value=models.Several(tuple((x.config, x.head) for x in found)),
    guidance=both,
  )

  def sampler(_: int) -> rollout.Sampler:
    last = run.values(run.rounds.num_rounds)
    loaded = [last, *(_load_value(run, path) for path in others)]
    members = {
      f"members_{i}": params["params"] for i, params in enumerate(loaded)
    }
    return run.sampler_of(policy, {"value": {"params": members}})

  made_from = {path: run.workdir.weights(path) for path in others}
  return Method(
    sampler,
    etas,
    guidance=both,
    settings=made_from,
    needs=needs(policy),
    is_lazy=run.is_lazy(policy),
  )


def outcome(
  run: run_lib.Run, guidance: generate.Guidance, etas: Sequence[float]
) -> Method:
  """Guided by a reward model of whole answers, read on prefixes."""
  policy = dataclasses.replace(run.players.policy, guidance=guidance)

  def sampler(_: int) -> rollout.Sampler:
    return run.sampler_of(policy, {"value": values.load_outcome(run)})

  return Method(
    sampler,
    etas,
    prepare=lambda: values.train_outcome(run),
    guidance=guidance,
    has_values=False,
    needs=needs(policy),
    is_lazy=run.is_lazy(policy),
  )


def tuned(run: run_lib.Run, train: Callable[[], str]) -> Method:
  """A tuned policy, whose KL to the reference is measured."""

  def sampler(_: int) -> rollout.Sampler:
    actor, params = load_policy(run, train())
    policy = run.unguided(actor=actor)
    return run.sampler_of(policy, {"actor": params})

  return Method(
    sampler,
    prepare=train,
    has_values=False,
    needs=needs(run.unguided(actor=run.players.policy.reference)),
  )


def log_ratio(
  run: run_lib.Run,
  train: Callable[[], str],
  guidance: generate.Guidance,
  etas: Sequence[float],
) -> Method:
  """The reference guided by how a tuned policy differs from it."""
  reference_model = run.players.policy.reference

  def policy_of(tuned_model: models.LanguageModel) -> generate.Policy:
    return dataclasses.replace(
      run.players.policy,
      value=models.LogRatio(tuned_model.config, reference_model.config),
      guidance=guidance,
    )

  def sampler(_: int) -> rollout.Sampler:
    model, params = load_policy(run, train())
    untuned = run.players.reference_params["params"]
    both = {"tuned": params["params"], "untuned": untuned}
    return run.sampler_of(policy_of(model), {"value": {"params": both}})

  def held(**sizes: Any) -> memory.Needed:
    found = needs(policy_of(reference_model))(**sizes)
    # The untuned one is the reference, which is there once.
    return dataclasses.replace(found, value=found.value - found.reference)

  return Method(
    sampler,
    etas,
    prepare=train,
    guidance=guidance,
    has_values=False,
    needs=held,
  )


def _value_of(run: run_lib.Run, directory: str) -> models.ValueModel:
  """The value model of another run, as it samples; no weights are read."""
  raw = huggingface.read_config(directory)
  dtype = run.players.policy.reference.config.dtype
  head = huggingface.saved_head(raw)
  if head is None:
    raise InputError(
      f"{directory} holds no value model; expected the `value` of a round"
    )
  config = huggingface.families.from_hf(raw, dtype=dtype)
  return run.layout.sampling(models.ValueModel(config, head))


def _load_value(run: run_lib.Run, directory: str) -> PyTree:
  """The weights of another run's value model, placed for decoding."""
  model = _value_of(run, directory)
  _, _, params = huggingface.load_value_model(
    directory,
    dtype=model.config.dtype,
    param_dtype=model.config.dtype,
    shardings=run.layout.for_decoding(model),
  )
  return params


def load_policy(
  run: run_lib.Run, directory: str
) -> tuple[models.LanguageModel, PyTree]:
  """A tuned policy, placed for decoding."""
  dtype = run.players.policy.reference.config.dtype
  model = run.players.policy.reference
  config, params = huggingface.load_language_model(
    directory,
    dtype=dtype,
    param_dtype=dtype,
    shardings=run.layout.for_decoding(model),
  )
  return run.layout.sampling(models.LanguageModel(config)), params
