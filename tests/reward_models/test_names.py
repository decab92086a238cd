"""Names of reward models and their sums."""

import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.reward_models import names


@pytest.mark.parametrize(
  ("name", "expected"),
  [
    ("model:DIR", [(1.0, "DIR")]),
    ("model:org/name", [(1.0, "org/name")]),
    ("model:A+0.5*model:B", [(1.0, "A"), (0.5, "B")]),
    ("2*model:/a+b/c+model:d", [(2.0, "/a+b/c"), (1.0, "d")]),
    ("model:A+-1e-1*model:B", [(1.0, "A"), (-0.1, "B")]),
    ("0.25*model:A+1e+2*model:B+model:C",
     [(0.25, "A"), (100.0, "B"), (1.0, "C")]),
  ],
)  # fmt: skip
def test_sums_are_read(name, expected):
  assert names.is_model(name)
  assert [(t.weight, t.directory) for t in names.parse(name)] == expected


@pytest.mark.parametrize("name", ["boxed", "my.models:reward", "remodel:x"])
def test_other_rewards_are_none(name):
  assert not names.is_model(name)


@pytest.mark.parametrize(
  ("name", "says"),
  [
    ("model:", "has the term 'model:'; expected model:DIR"),
    ("model:A+0.5*model:", "has the term '0.5*model:'"),
    ("model:A+0*model:B", "the weight '0'; expected a finite number"),
    ("inf*model:A", "the weight 'inf'"),
    ("half*model:A", "the weight 'half'"),
  ],
)
def test_other_sums_are_refused(name, says):
  with pytest.raises(InputError) as error:
    names.parse(name)
  assert says in str(error.value) and "\n" not in str(error.value)
