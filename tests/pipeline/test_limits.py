import pytest

from qsharp_jax import rollout
from qsharp_jax.core.errors import InputError
from qsharp_jax.pipeline import limits


def check(length, *, context=100, row_length=100):
  problems = [
    rollout.Problem("short", [1], "1"),
    rollout.Problem("long", [1] * length, "1"),
  ]
  limits.check(
    problems, context=context, max_new_tokens=10, row_length=row_length
  )


def test_what_just_fits_passes():
  check(90)
  check(20, context=30)
  check(20, row_length=30)


@pytest.mark.parametrize(
  ("limit", "says"),
  [
    ({"context": 30}, "context of 30"),
    ({"row_length": 30}, "fit.max_length, of 30"),
  ],
)
def test_names_the_question_and_the_limit(limit, says):
  with pytest.raises(InputError, match="question long has 21 tokens.*20") as e:
    check(21, **limit)
  assert says in str(e.value)
