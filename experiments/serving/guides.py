"""What is served, loaded: a finished run, or models that flags name."""

import dataclasses
from collections.abc import Mapping, Sequence

import qsharp_jax
from experiments.harness import casting, prompting, runs, wiring
from qsharp_jax import data, generate, sharding, training
from qsharp_jax.core import places
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import guided

# A number in the choice of guidance, by the name of the method.
METHODS: Mapping[str, int] = {"reference": 0} | {
  name: i for i, name in enumerate(guided.BY_VALUES)
}


@dataclasses.dataclass(frozen=True)
class Guide:
  """Models that answer, and how their run sampled from them."""

  policy: generate.Policy  # whose rows choose among METHODS
  params: PyTree
  tokenizer: data.Tokenizer
  form: data.prompts.Form
  sampling: generate.Sampling
  stops: Sequence[str] = ()
  method: str = "qsharp"
  methods: Mapping[str, int] = dataclasses.field(
    default_factory=lambda: dict(METHODS)
  )

  def render(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
    """Token ids of a conversation, in the form that the run's prompts have.

    Raises:
      InputError: turns that this form cannot hold, or nobody can answer.
    """
    turns = data.conversations.check(messages)
    if not self.form.has_turns and len(turns) > 1:
      raise InputError(
        f"there are {len(turns)} messages; expected one of the user's, which "
        f"is all that prompts of the form {self.form.style!r} hold"
      )
    question = data.conversations.write(turns)
    return data.prompts.render(question, self.tokenizer, self.form)

  @property
  def context(self) -> int:
    """Tokens that all models can read."""
    found = [c for own in self.policy.decoders.values() for c in own]
    return min(config.max_length for config in found)


def of_run(workdir: places.Path, where: sharding.Layout, index: int) -> Guide:
  """The reference of a finished run, guided by the values of a round.

  Args:
    workdir: of the run.
    where: on which devices.
    index: of the round; 0 is the last.

  Raises:
    InputError: no such run, or no such round.
  """
  run = runs.load(workdir, where, index)
  return Guide(
    _choosing(run.players.policy, run.players.critic),
    run.params,
    run.tokenizer,
    prompting.form(run.config),
    wiring.sampling(run.config),
    casting.stops_of(run.config),
    run.config.rounds.method,
  )


def of_models(reference: str, value: str, dtype: str) -> Guide:
  """A reference, guided by a value model that is not "".

  Args:
    reference: model directory or Hub name.
    value: of a value model that says how it is read.
    dtype: of weights and activations.

  Raises:
    InputError: a directory that holds no such model, or another tokenizer.
  """
  found = qsharp_jax.load(reference, values=value or None, dtype=dtype)
  if found.critic is None:
    guiding = {"method": "reference", "methods": {"reference": 0}}
    policy = found.policy
  else:
    guiding, policy = {}, _choosing(found.policy, found.critic)
  return Guide(
    policy,
    found.params,
    found.tokenizer,
    found.form,
    generate.Sampling(),
    found.stops,
    **guiding,
  )


def _choosing(
  policy: generate.Policy, critic: training.Critic
) -> generate.Policy:
  """The policy whose rows choose; all candidates give exact numbers."""
  members = tuple(critic.guidance(name) for name in guided.BY_VALUES)
  return dataclasses.replace(
    policy, guidance=generate.Choice(members), num_scored=0
  )
