"""Names of rewards that models give: `model:DIR`, `model:A+0.5*model:B`."""

import dataclasses
import math
import re

from qsharp_jax.core import errors
from qsharp_jax.core.errors import InputError

_WEIGHT = r"(?:([-+]?[\w.]+(?:[eE][-+]\d+)?)\*)?"
_TERM = re.compile(rf"{_WEIGHT}model:(.*)", re.DOTALL)
_BORDER = re.compile(rf"\+{_WEIGHT}model:")


@dataclasses.dataclass(frozen=True)
class Term:
  """One model of a sum.

  Attributes:
    weight: factor of its score, in reward units per unit of the score.
    directory: of a sequence classifier, or its Hub name.
  """

  weight: float
  directory: str


def is_model(name: str) -> bool:
  """Whether the name of a reward says that models give it."""
  return _TERM.match(name) is not None


def parse(name: str) -> tuple[Term, ...]:
  """The models of a reward, in their order.

  Args:
    name: `model:DIR`, or several with weights, `model:A+0.5*model:B`; a weight
      may be negative, as in `model:A+-0.1*model:B`.

  Raises:
    InputError: a term without a directory, or a weight that is no number.
  """
  return tuple(_term(part, name) for part in _split(name))


def _split(name: str) -> list[str]:
  starts = [0, *(found.start() + 1 for found in _BORDER.finditer(name))]
  ends = [*(start - 1 for start in starts[1:]), len(name)]
  return [name[i:j] for i, j in zip(starts, ends, strict=True)]


def _term(part: str, name: str) -> Term:
  found = _TERM.fullmatch(part)
  if not found or not found[2]:
    raise InputError(
      f"reward {errors.short(name)} has the term {errors.short(part)}; "
      "expected model:DIR or WEIGHT*model:DIR, joined by +"
    )
  try:
    weight = float(found[1] or 1.0)
  except ValueError:
    weight = math.nan
  if not math.isfinite(weight) or weight == 0:
    raise InputError(
      f"reward {errors.short(name)} has the weight {errors.short(found[1])}; "
      "expected a finite number other than 0"
    )
  return Term(weight, found[2])
