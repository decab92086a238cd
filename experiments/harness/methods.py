"""The one table from the names of methods to what samples for them.

Three kinds: values of candidates that guide the reference (`_GUIDED`), policies
that were fine-tuned (`finetuning.methods.DEFAULTS`), and what is made of both
(`_OTHERS`). Those that know a strength instead of a KL weight show it as
eta = 1 / strength.
"""

import dataclasses
from collections.abc import Callable, Collection

import jax
import jax.numpy as jnp
import ml_collections

from qsharp_jax import generate, pipeline, rollout, training
from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import base
from qsharp_jax.finetuning import methods as finetuning_methods
from qsharp_jax.ops import guidance
from qsharp_jax.pipeline import methods as methods_lib


@dataclasses.dataclass(frozen=True)
class Bench:
  """What methods are made from."""

  config: ml_collections.ConfigDict
  run: pipeline.Run
  grade: Callable[[str], rollout.collect.Grade]  # name of a reward -> grades
  gold: base.Gold | None  # for pairs, where a question has one sample

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
        reference=self.config.reference,
        gold=self.gold,
        shared=shared,
      )
    )

  def settings(self, name: str) -> base.Settings:
    """A method's defaults with what the config changes in them."""
    changes = self.config.baselines.to_dict().get(name, {})
    return finetuning_methods.make(name, changes, seed=self.run.fit.seed)


def check(names: Collection[str]) -> None:
  """Raises an InputError for a name that is in no table."""
  known = [*_GUIDED, *_OTHERS, *finetuning_methods.DEFAULTS]
  for name in names:
    if name not in known:
      raise InputError(
        f"there is no method {name!r}; choose from {', '.join(known)}"
      )


def check_guided(name: str) -> None:
  """Raises an InputError for a name of anything but a guidance by values."""
  if name not in _GUIDED:
    raise InputError(
      f"there is no guidance {name!r}; choose from {', '.join(_GUIDED)}"
    )


def select(critic: training.Critic, name: str) -> generate.Guidance:
  """Log-weights [B, A] from value logits [B, A, K] and eta [B, 1]."""
  check_guided(name)
  return _GUIDED[name](critic)


def build(bench: Bench) -> dict[str, pipeline.Method]:
  """The methods that an evaluation compares, by name."""
  own = bench.config.evaluation
  check(own.methods)
  found = {}
  for name in own.methods:
    if name in _GUIDED:
      weigh = select(bench.run.players.critic, name)
      found[name] = methods_lib.guided(bench.run, weigh, tuple(own.etas))
    elif name in _OTHERS:
      found[name] = _OTHERS[name](bench)
    else:
      found[name] = methods_lib.tuned(bench.run, bench.train(name))
  return found


def _qsharp(critic: training.Critic) -> generate.Guidance:
  """Q# with the law that the value model was trained to predict."""
  if critic.loss == "bernoulli":
    return lambda logits, eta: guidance.qsharp_bernoulli(
      logits[..., 0], eta=eta
    )
  if critic.loss == "categorical":
    return lambda logits, eta: guidance.zero_floor(
      guidance.qsharp_categorical(
        jax.nn.log_softmax(logits), critic.atoms, eta=eta
      )
    )
  # Squared error knows the mean only: a law without spread, which is CD's.
  return _cd(critic)


def _cd(critic: training.Critic) -> generate.Guidance:
  return lambda logits, eta: guidance.cd(critic.mean(logits), eta=eta)


def _vas(critic: training.Critic) -> generate.Guidance:
  return lambda logits, eta: guidance.vas(critic.mean(logits), eta=eta)


def _fudge(critic: training.Critic) -> generate.Guidance:
  def weigh(logits: jax.Array, eta: jax.Array) -> jax.Array:
    if critic.loss == "bernoulli":
      odds = logits[..., 0]
    else:
      odds = jax.scipy.special.logit(
        jnp.clip(critic.mean(logits), 1e-6, 1 - 1e-6)
      )
    # An unscored token counts as the worst candidate, not as a sure success.
    return guidance.zero_floor(guidance.fudge(odds, strength=1 / eta))

  return weigh


def _args(bench: Bench) -> pipeline.Method:
  critic = bench.run.players.critic
  return methods_lib.outcome(
    bench.run,
    lambda logits, eta: guidance.args(critic.mean(logits), strength=1 / eta),
    tuple(bench.config.evaluation.etas),
  )


def _mixture(bench: Bench) -> pipeline.Method:
  return methods_lib.mixture(
    bench.run,
    select(bench.run.players.critic, bench.config.rounds.method),
    tuple(bench.config.evaluation.etas),
    others=tuple(bench.config.search.mixture.others),
    weights=tuple(bench.config.search.mixture.weights),
  )


def _dpo_q(bench: Bench) -> pipeline.Method:
  beta = bench.settings("dpo").eta
  return methods_lib.log_ratio(
    bench.run,
    bench.train("dpo"),
    lambda x, eta: guidance.log_ratio(x[..., 0], strength=beta / eta),
    # At eta = beta the guided policy is the tuned one.
    tuple(bench.config.evaluation.etas),
  )


def _dpo_beam(bench: Bench) -> pipeline.Method:
  num_beams = bench.config.search.num_beams
  return methods_lib.likeliest(
    bench.run, bench.train("dpo"), num_beams=num_beams
  )


def _transfer(bench: Bench) -> pipeline.Method:
  own = bench.config.search.transfer
  rewards = lambda: methods_lib.value_rewards(bench.run)
  if own.reward != "value":
    grades = [bench.grade(own.reward)]
    rewards = lambda: methods_lib.graded_rewards(bench.run, grades)
  return _looking_ahead(
    bench,
    rewards,
    lambda found, eta: guidance.transfer_direct(found[..., 0], eta=eta),
  )


def _transfer_indirect(bench: Bench) -> pipeline.Method:
  own = bench.config.search.transfer
  grades = [bench.grade(own.reward), bench.grade(own.baseline_reward)]
  return _looking_ahead(
    bench,
    lambda: methods_lib.graded_rewards(bench.run, grades),
    lambda found, eta: guidance.transfer_indirect(
      found[..., 0], found[..., 1], eta=eta, beta=own.beta
    ),
  )


def _looking_ahead(
  bench: Bench,
  rewards: Callable[[], generate.transfer.Rewards],
  weigh: generate.transfer.Weigh,
) -> pipeline.Method:
  own = bench.config.search.transfer
  return methods_lib.looking_ahead(
    bench.run,
    bench.train(own.baseline) if own.baseline else None,
    rewards,
    weigh,
    tuple(own.etas),
    num_candidates=own.num_candidates,
    num_rollouts=own.num_rollouts,
  )


def _best_of_n(bench: Bench) -> pipeline.Method:
  num_samples = bench.config.search.best_of
  return methods_lib.best_of(bench.run, num_samples=num_samples)


def _blocks(bench: Bench) -> pipeline.Method:
  return methods_lib.block_search(bench.run, **bench.config.search.blocks)


_GUIDED = {"qsharp": _qsharp, "cd": _cd, "vas": _vas, "fudge": _fudge}
_OTHERS = {
  "args": _args,
  "mixture": _mixture,
  "dpo_q": _dpo_q,
  "dpo_beam": _dpo_beam,
  "transfer": _transfer,
  "transfer_indirect": _transfer_indirect,
  "best_of_n": _best_of_n,
  "blocks": _blocks,
}
