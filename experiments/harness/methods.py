"""The one table from the names of methods to what samples for them.

Three kinds: values of candidates that guide the reference
(`guided.BY_VALUES`), policies that were fine-tuned
(`finetuning.methods.DEFAULTS`), and what is made of both (`_OTHERS`). Those
that know a strength instead of a KL weight show it as eta = 1 / strength.
"""

import dataclasses
from collections.abc import Callable, Collection

import ml_collections

from experiments.harness import lengths, memory_checks
from qsharp_jax import generate, pipeline, reward_models, rollout
from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import base
from qsharp_jax.finetuning import methods as finetuning_methods
from qsharp_jax.generate import guided, transfer
from qsharp_jax.pipeline import methods as methods_lib
from qsharp_jax.pipeline import searches


@dataclasses.dataclass(frozen=True)
class Bench:
  """What methods are made from."""

  config: ml_collections.ConfigDict
  run: pipeline.Run
  reward: Callable[[str], rollout.grading.Reward]  # by its name
  gold: base.Gold | None  # for pairs, where a question has one sample
  # Settings of all policies that were asked for, by name.
  tuned: dict[str, base.Settings] = dataclasses.field(default_factory=dict)

  def train(self, name: str) -> Callable[[], str]:
    """Fine-tunes a policy when it is needed, and says where it is."""
    settings = self.settings(name)
    # A policy that another one needs is its row's where their settings agree.
    shared = {other: self.settings(other) for other in settings.first}
    return lambda: str(
      base.train(
        self.run,
        name,
        settings,
        gold=self.gold,
        shared=shared,
      )
    )

  def settings(self, name: str) -> base.Settings:
    """A method's defaults with what the config changes in them, checked.

    Raises:
      InputError: rows too short for the longest answers, no room in memory.
    """
    changes = self.config.baselines.to_dict().get(name, {})
    found = finetuning_methods.make(name, changes, seed=self.run.fit.seed)
    lengths.check_tuned(self.run, name, found, self.gold)
    self.tuned[name] = memory_checks.tuned(self.run, name, found)
    return self.tuned[name]


def check(names: Collection[str]) -> None:
  """Raises an InputError for a name that is in no table."""
  known = [*guided.BY_VALUES, *_OTHERS, "front", *finetuning_methods.DEFAULTS]
  for name in names:
    if name not in known:
      several = ", several as \"('qsharp', 'cd')\"" if "," in name else ""
      raise InputError(
        f"there is no method {name!r}; choose from {', '.join(known)}{several}"
      )


def build(bench: Bench) -> dict[str, pipeline.Method]:
  """The methods that an evaluation compares, by name."""
  own = bench.config.evaluation
  check(own.methods)
  found = {}
  for name in own.methods:
    if name in guided.BY_VALUES:
      weigh = bench.run.players.critic.guidance(name)
      found[name] = methods_lib.guided(bench.run, weigh, tuple(own.etas))
    elif name == "front":
      found |= _front(bench)
    elif name in _OTHERS:
      searched = {
        f"search.{key}": value
        for key, value in bench.config.search.to_dict().items()
        if key in _SEARCH.get(name, ())
      }
      judges = {
        f"the reward {judge}": bench.reward(judge).identity
        for judge in _judges(bench.config, name)
        if judge != "value"
      }
      method = _OTHERS[name](bench)
      found[name] = dataclasses.replace(
        method, settings={**method.settings, **searched, **judges}
      )
    else:
      found[name] = methods_lib.tuned(bench.run, bench.train(name))
  return found


def _args(bench: Bench) -> pipeline.Method:
  """A reward model reads prefixes itself; of any other reward one is learnt."""
  own = bench.config
  if _judges(own, "args"):
    return searches.looking_ahead(
      bench.run,
      None,
      _rewards(bench, "args"),
      transfer.direct,
      tuple(own.evaluation.etas),
      num_candidates=own.sampling.num_candidates,
      num_rollouts=1,
      horizon=0,
    )
  return methods_lib.outcome(
    bench.run,
    bench.run.players.critic.guidance("args"),
    tuple(bench.config.evaluation.etas),
  )


def _mixture(bench: Bench) -> pipeline.Method:
  return methods_lib.mixture(
    bench.run,
    bench.run.players.critic.guidance(bench.config.rounds.method),
    tuple(bench.config.evaluation.etas),
    others=tuple(bench.config.search.mixture.others),
    weights=tuple(bench.config.search.mixture.weights),
  )


def _front(bench: Bench) -> dict[str, pipeline.Method]:
  """A row for each pair of weights of the run's reward and a second one."""
  own = bench.config.search.front
  return pipeline.second_values.front(
    bench.run,
    bench.reward(own.reward),
    bench.run.players.critic.guidance(bench.config.rounds.method),
    eta=own.eta,
    weights=tuple(own.weights),
  )


def _dpo_q(bench: Bench) -> pipeline.Method:
  # Runs of earlier versions had no scale.
  scale = bench.config.get("preferences", {}).get("scale", 1.0)
  beta = bench.settings("dpo").eta * scale
  return methods_lib.log_ratio(
    bench.run,
    bench.train("dpo"),
    generate.Guidance("log_ratio", strength=beta),
    # At eta = beta and temperature 1 the guided policy is the tuned one.
    tuple(bench.config.evaluation.etas),
  )


def _dpo_beam(bench: Bench) -> pipeline.Method:
  num_beams = bench.config.search.num_beams
  return searches.likeliest(bench.run, bench.train("dpo"), num_beams=num_beams)


def _rewards(bench: Bench, method: str) -> Callable[[], transfer.Rewards]:
  """Rewards by which a search judges answers."""
  names = _judges(bench.config, method)
  if names == ("value",):
    return lambda: searches.value_rewards(bench.run)
  grades = [bench.reward(name).grade for name in names]
  return lambda: searches.graded_rewards(bench.run.task, grades)


def _judges(config: ml_collections.ConfigDict, method: str) -> tuple[str, ...]:
  """Names of those rewards, `value` being the last round's values."""
  own, reads_prefixes = config.search, reward_models.names.is_model
  return {
    "args": (config.reward,) if reads_prefixes(config.reward) else (),
    "transfer": (own.transfer.reward,),
    "transfer_other": (own.transfer.reward,),
    "transfer_indirect": (own.transfer.reward, own.transfer.baseline_reward),
    "best_of_n": (own.judge,),
    "blocks": (own.judge,),
  }.get(method, ())


def _transfer(bench: Bench) -> pipeline.Method:
  own = bench.config.search.transfer
  rewards = _rewards(bench, "transfer")
  return _looking_ahead(
    bench, rewards, transfer.direct, own.baseline, own.num_rollouts
  )


def _transfer_indirect(bench: Bench) -> pipeline.Method:
  own = bench.config.search.transfer
  rewards = _rewards(bench, "transfer_indirect")
  weigh = transfer.Indirect(own.beta)
  return _looking_ahead(bench, rewards, weigh, *_other(own))


def _transfer_other(bench: Bench) -> pipeline.Method:
  """Direct from the baseline of the indirect one: what weights are good for."""
  own = bench.config.search.transfer
  rewards = _rewards(bench, "transfer_other")
  return _looking_ahead(bench, rewards, transfer.direct, *_other(own))


def _looking_ahead(
  bench: Bench,
  rewards: Callable[[], transfer.Rewards],
  weigh: transfer.Weigh,
  baseline: str,
  num_rollouts: int,
) -> pipeline.Method:
  own = bench.config.search.transfer
  find, made_from = None, {}
  if baseline in finetuning_methods.DEFAULTS:
    find = bench.train(baseline)
  elif baseline:

    def find():
      return baseline

    made_from = {"the baseline": bench.run.workdir.weights(baseline)}
  found = searches.looking_ahead(
    bench.run,
    find,
    rewards,
    weigh,
    tuple(own.etas),
    num_candidates=own.num_candidates,
    num_rollouts=num_rollouts,
  )
  return dataclasses.replace(found, settings={**found.settings, **made_from})


def _other(own: ml_collections.ConfigDict) -> tuple[str, int]:
  """The baseline that was aligned to another reward, and how often it goes on.

  Runs of earlier versions had one baseline and one number.
  """
  return (
    own.get("other_baseline", "") or own.baseline,
    own.get("other_num_rollouts", 0) or own.num_rollouts,
  )


def _best_of_n(bench: Bench) -> pipeline.Method:
  num_samples = bench.config.search.best_of
  rewards = _rewards(bench, "best_of_n")
  return searches.best_of(bench.run, rewards, num_samples=num_samples)


def _blocks(bench: Bench) -> pipeline.Method:
  sizes = bench.config.search.blocks
  return searches.block_search(bench.run, _rewards(bench, "blocks"), **sizes)


_OTHERS = {
  "args": _args,
  "mixture": _mixture,
  "dpo_q": _dpo_q,
  "dpo_beam": _dpo_beam,
  "transfer": _transfer,
  "transfer_indirect": _transfer_indirect,
  "transfer_other": _transfer_other,
  "best_of_n": _best_of_n,
  "blocks": _blocks,
}
# What of the config's `search` decides a method's samples.
_SEARCH = {
  "mixture": ("mixture",),
  "dpo_beam": ("num_beams",),
  "transfer": ("transfer",),
  "transfer_indirect": ("transfer",),
  "transfer_other": ("transfer",),
  "best_of_n": ("best_of", "judge"),
  "blocks": ("blocks", "judge"),
}
