import types

import pytest

from qsharp_jax import rollout
from qsharp_jax.core.errors import InputError
from qsharp_jax.pipeline import limits


def check(length, *, reference=100, value=100, row_length=100, new=10):
  model = lambda context: types.SimpleNamespace(
    config=types.SimpleNamespace(max_length=context)
  )
  policy = types.SimpleNamespace(
    reference=model(reference), value=value and model(value)
  )
  problems = [
    rollout.Problem("short", [1], "1"),
    rollout.Problem("long", [1] * length, "1"),
  ]
  limits.check(problems, policy, max_new_tokens=new, row_length=row_length)


def test_what_just_fits_passes():
  check(90)
  check(20, reference=30)
  check(20, value=30)
  check(20, row_length=30)
  check(20, reference=30, value=None)


@pytest.mark.parametrize(
  ("field", "says"),
  [
    ("reference", "context of 30"),
    ("value", "context of 30"),
    ("row_length", "fit.max_length, of 30"),
  ],
)
def test_names_the_question_and_the_limit(field, says):
  with pytest.raises(InputError, match="question long has 21 tokens.*20") as e:
    check(21, **{field: 30})
  assert says in str(e.value)
