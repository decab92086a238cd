"""What each stage of a run is made from; sizes that change no result are not.

Batch sizes of sampling, prompts per refill, prompt buckets, candidates scored
in a turn, micro-batches, the time between checkpoints, the mesh and reward
workers are left out.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from qsharp_jax import generate, rollout
from qsharp_jax.core import places
from qsharp_jax.pipeline import contents
from qsharp_jax.pipeline import run as run_lib
from qsharp_jax.pipeline import stage as stage_lib

_KL_EVERY = "evaluation.kl_every"


def collect(run: run_lib.Run, round_index: int) -> stage_lib.Stage:
  """The rollouts of a round."""
  given = {
    "seed": run.rounds.seed,
    "rounds.num_samples": run.rounds.num_samples,
  }
  settings = {}
  policy = run.players.policy
  if round_index > 1:  # that the values roll in
    given |= {
      "rounds.eta": run.rounds.eta,
      "rounds.rule": run.rounds.rule,
      "rounds.method": policy.guidance.kind,
    }
    weighted = guided(run, policy.guidance)
    settings = {"the guidance": weighted.pop("the guidance")}
    given |= weighted
    settings |= {
      f"rollouts of round {round_index - 1}": run.workdir.digest(
        f"collect_{round_index - 1}"
      ),
    } | values(run, round_index - 1)
  return samples(
    run,
    f"collect_{round_index}",
    [*run.task.train, *run.task.validation],
    run.paths.rollouts(round_index),
    given=given,
    settings=settings,
    made=f"round {round_index} was collected",
  )


def standardise(run: run_lib.Run) -> stage_lib.Stage:
  """The statistics of round 1's rewards."""
  return stage_lib.Stage(
    "standardise",
    settings={
      "the rollouts of round 1": run.workdir.digest("collect_1"),
      "reward": run.task.reward,
    },
    outputs=(run.paths.statistics,),
    is_whole=run.paths.statistics.exists,
  )


def support(run: run_lib.Run) -> stage_lib.Stage:
  """The range of categorical values: given, or that of round 1's rewards."""
  atoms = run.players.critic.atoms
  settings = {
    "value.v_min": atoms and atoms[0],
    "value.v_max": atoms and atoms[-1],
  }
  if atoms is None:
    settings |= {
      "the rollouts of round 1": run.workdir.digest("collect_1"),
      "reward": run.task.reward,
    }
  return stage_lib.Stage(
    "support",
    settings=settings,
    outputs=(run.paths.support,),
    is_whole=run.paths.support.exists,
  )


def evaluate(
  run: run_lib.Run,
  name: str,
  problems: Sequence[rollout.Problem],
  store: places.Path,
  made_from: Mapping[str, Any],
  plan: rollout.Plan,
) -> stage_lib.Stage:
  """Samples of one row of the report.

  Args:
    run: that is evaluated.
    name: of the stage.
    problems: that are sampled.
    store: where the samples are.
    made_from: what the method depends on.
    plan: what is sampled.
  """
  own = {
    "evaluation.num_samples": plan.num_samples,
    "the evaluation's seed": plan.seed,
    "eta": plan.eta,
    _KL_EVERY: plan.kl_every,
  }
  found = samples(
    run,
    name,
    problems,
    store,
    settings=own | dict(made_from),
    made=f"stage {name} sampled it",
  )
  has_kl = functools.partial(_has_kl, plan.kl_every)
  return dataclasses.replace(found, suffices={_KL_EVERY: has_kl})


def _has_kl(asked: int, stored: int | None) -> bool:
  """Whether samples have the KL that is asked for; more of it does no harm.

  Earlier versions, which noted nothing, scored all samples whole.
  """
  return asked == 0 or stored in (None, 1, asked)


def judge(run: run_lib.Run, name: str, store: places.Path) -> stage_lib.Stage:
  """The values of the samples of a store, by those of the last round."""
  return stage_lib.Stage(
    name,
    settings=values(run, run.rounds.num_rounds),
    is_whole=lambda: rollout.store.is_judged(store),
  )


def shown(
  run: run_lib.Run,
  name: str,
  path: places.Path,
  policies: Sequence[tuple[str, generate.Guidance | None]],
) -> stage_lib.Stage:
  """What is found out about test answers for people to see.

  Args:
    run: whose last values are looked at.
    name: of the stage.
    path: where it goes.
    policies: stages that sampled the answers, and what guided them.
  """
  settings = values(run, run.rounds.num_rounds) | {"reward": run.task.reward}
  for stage, guidance in policies:
    settings[stage] = run.workdir.digest(stage)
    if guidance is not None:
      settings |= guided(run, guidance)
  return stage_lib.Stage(
    name, settings=settings, outputs=(path,), is_whole=path.exists
  )


def guided(run: run_lib.Run, guidance: generate.Guidance) -> dict[str, Any]:
  """What decides how candidates are weighted."""
  policy = run.players.policy
  return {
    "the guidance": contents.digest(dataclasses.asdict(guidance)),
    "sampling.num_candidates": policy.num_candidates,
    "sampling.is_guidance_tempered": policy.is_guidance_tempered,
    "sampling.is_truncated": policy.is_truncated,
  }


def values(run: run_lib.Run, round_index: int) -> dict[str, str]:
  """The weights of a round's values."""
  digest = run.workdir.weights(run.paths.value(round_index))
  return {f"the values of round {round_index}": digest}


def samples(
  run: run_lib.Run,
  name: str,
  problems: Sequence[rollout.Problem],
  store: places.Path,
  *,
  given: Mapping[str, Any] | None = None,
  settings: Mapping[str, Any] | None = None,
  made: str,
) -> stage_lib.Stage:
  """A stage that samples; it is due again when a shard was deleted.

  Args:
    run: its reference and sampling are given. The reward is not: texts that
      another one graded are graded again, see `Run.follow_reward`.
    name: of the stage.
    problems: given, too.
    store: where the samples go.
    given: what else is, see `Stage`.
    settings: see `Stage`.
    made: when that was, for errors.
  """
  policy = run.players.policy
  always = {
    "questions": contents.questions(problems),
    "weights of the reference": reference(run),
    "dtype": str(policy.reference.config.dtype),
    "end tokens": [
      *policy.eos_ids,
      *(policy.stops.strings if policy.stops else ()),
    ],
    "sampling.temperature": run.sampling.temperature,
    "sampling.top_p": run.sampling.top_p,
    "sampling.max_new_tokens": run.sampling.max_new_tokens,
  }
  if run.sampling.top_p < 1:
    always["sampling.top_p_of"] = policy.top_p_of
  return stage_lib.Stage(
    name,
    given=always | dict(given or {}),
    settings=settings or {},
    outputs=(store,),
    is_whole=lambda: is_complete(run, store, problems),
    explain={
      "questions": lambda: contents.first_difference(problems, store, made)
    },
  )


def is_complete(
  run: run_lib.Run,
  store: places.Path,
  problems: Sequence[rollout.Problem],
) -> bool:
  """Whether no shard of a store is missing."""
  return rollout.collect.is_complete(
    store, len(problems), batch_size=run.sampling.batch_size
  )


def reference(run: run_lib.Run) -> str:
  """The digest of the reference's weights."""
  return run.workdir.weights(run.players.reference)
