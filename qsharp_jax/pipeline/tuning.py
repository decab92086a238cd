"""Hyper-parameters of the policies that guidance is compared with.

Defaults are the papers', for models of billions of parameters; small ones want
larger steps.
"""

import dataclasses
from typing import Literal

from qsharp_jax.pipeline import credit, fitting, on_policy


@dataclasses.dataclass(frozen=True)
class Supervised:
  """Fine-tuning on the reference's own right answers (rejection sampling)."""

  fit: fitting.Fit = fitting.Fit(learning_rate=1e-5, num_epochs=3)


@dataclasses.dataclass(frozen=True)
class Preference:
  """DPO, RPO, CPL: training on pairs of answers."""

  fit: fitting.Fit = fitting.Fit(learning_rate=5e-7, num_epochs=1)
  loss: Literal["dpo", "rpo", "cpl"] = "dpo"
  eta: float = 0.1  # KL weight (of CPL: entropy weight) in reward units
  pairs_per_question: int = 1
  alpha: float = 1.0  # of RPO: weight of the likelihood of the chosen answer
  bias: float = 0.5  # of CPL: how much less a rejected answer counts


@dataclasses.dataclass(frozen=True)
class Reinforce(on_policy.Plan):
  """REINFORCE with a baseline."""

  baseline: credit.Baseline = "leave_one_out"


@dataclasses.dataclass(frozen=True)
class PPO(on_policy.Plan):
  """Proximal policy optimisation with a critic."""

  fit: fitting.Fit = fitting.Fit(learning_rate=1e-6, num_epochs=4)
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
