"""Hyper-parameters of the policies that guidance is compared with.

Defaults are the papers', for models of billions of parameters; small ones want
larger steps.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import credit, on_policy
from qsharp_jax.training import fit as fit_lib


@dataclasses.dataclass(frozen=True)
class Supervised:
  """Fine-tuning on the reference's own right answers (rejection sampling)."""

  fit: fit_lib.Fit = fit_lib.Fit(learning_rate=1e-5, num_epochs=3)


@dataclasses.dataclass(frozen=True)
class Preference:
  """DPO, RPO, CPL: training on pairs of answers."""

  fit: fit_lib.Fit = fit_lib.Fit(learning_rate=5e-7, num_epochs=1)
  loss: Literal["dpo", "rpo", "cpl"] = "dpo"
  eta: float = 0.1  # KL weight (of CPL: entropy weight) in reward units
  pairs_per_question: int = 1
  alpha: float = 1.0  # of RPO: weight of the likelihood of the chosen answer
  bias: float = 0.5  # of CPL: how much less a rejected answer counts

  def __post_init__(self) -> None:
    """Refuses what means nothing."""
    if not (self.eta > 0 and self.pairs_per_question > 0):
      raise InputError(
        f"eta is {self.eta} and pairs_per_question {self.pairs_per_question}; "
        "expected both > 0"
      )


@dataclasses.dataclass(frozen=True)
class Reinforce(on_policy.Plan):
  """REINFORCE with a baseline."""

  baseline: credit.Baseline = "leave_one_out"

  def __post_init__(self) -> None:
    """Refuses what means nothing."""
    super().__post_init__()
    if self.baseline == "leave_one_out" and self.num_samples < 2:
      raise InputError(
        f"num_samples is {self.num_samples}; expected at least 2 for the "
        "baseline leave_one_out, or the baseline batch"
      )


@dataclasses.dataclass(frozen=True)
class PPO(on_policy.Plan):
  """Proximal policy optimisation with a critic."""

  fit: fit_lib.Fit = fit_lib.Fit(learning_rate=1e-6, num_epochs=4)
  clip: float = 0.2
  value_clip: float = 0.2
  value_weight: float = 0.5
  discount: float = 1.0
  decay: float = 0.95  # lambda of the advantages


@dataclasses.dataclass(frozen=True)
class RTO(PPO):
  """PPO on the token rewards of a DPO policy, which is trained first."""

  dpo: Preference = Preference()
  weight: float = 1.0  # of the sequence's own reward


@dataclasses.dataclass(frozen=True)
class AStarPO(on_policy.Plan):
  """Regression on the optimal advantage; one sample of a prompt is enough."""

  eta: float = 1e-3
  value_eta: float = 0.5  # of the optimal values, beta_1 in the paper
  num_samples: int = 1


How = Supervised | Preference | Reinforce | PPO | RTO | AStarPO

DEFAULTS: dict[str, How] = {
  "sft": Supervised(),
  "reinforce": Reinforce(),
  "ppo": PPO(),
  "dpo": Preference(),
  "rpo": Preference(loss="rpo"),
  "cpl": Preference(loss="cpl"),
  "rto": RTO(),
  "a_star_po": AStarPO(),
}


def make(name: str, changes: Mapping[str, Any], *, seed: int = 0) -> How:
  """Hyper-parameters of a method: its defaults with some changes.

  Args:
    name: a key of `DEFAULTS`.
    changes: field -> value; `fit` and, of RTO, `dpo` are such mappings
      themselves.
    seed: of the order of the data and of sampling.

  Raises:
    InputError: an unknown method or field, or a value that means nothing.
  """
  if name not in DEFAULTS:
    raise InputError(
      f"there is no baseline {name!r}; expected one of {', '.join(DEFAULTS)}"
    )
  how = _changed(DEFAULTS[name], changes, f"baselines.{name}")
  return _changed(how, {"fit": {"seed": seed}}, name)


def _changed(how: Any, changes: Mapping[str, Any], where: str) -> Any:
  """A dataclass with changes, those of its own dataclasses included."""
  fields = {field.name for field in dataclasses.fields(how)}
  found = {}
  for name, value in changes.items():
    if name not in fields:
      raise InputError(
        f"{where} has no field {name!r}; expected one of "
        f"{', '.join(sorted(fields))}"
      )
    own = getattr(how, name)
    is_nested = dataclasses.is_dataclass(own)
    found[name] = (
      _changed(own, value, f"{where}.{name}") if is_nested else value
    )
  return dataclasses.replace(how, **found)
