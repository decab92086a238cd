import operator

import pytest

from qsharp_jax.rewards import lists
from qsharp_jax.rewards.lists import Parts

SPLIT = [
  ("1, 2", Parts("{}", ("1", "2"), is_bare=True)),
  (r"\{1, 2\}", Parts("{}", ("1", "2"))),
  ("(1, 2]", Parts("(]", ("1", "2"))),
  ("(1,2),(3,4)", Parts("{}", ("(1,2)", "(3,4)"), is_bare=True)),
  (r"1 \pm a", Parts("{}", ("1 + a", "1 - a"), is_bare=True)),
  ("1,234", None),
  ("(4)", None),
  ("(1)(2)", None),
  (r"(1,2) \cup (3,4)", None),
]


@pytest.mark.parametrize("text, expected", SPLIT)
def test_split(text, expected):
  assert lists.split(text) == expected


def test_sets_have_no_order_and_points_have():
  sets = [Parts("{}", items) for items in (("1", "2"), ("2", "1"))]
  points = [Parts("()", items) for items in (("1", "2"), ("2", "1"))]
  assert lists.same(*sets, operator.eq)
  assert not lists.same(*points, operator.eq)
  assert lists.same(points[0], points[0], operator.eq)


def test_each_part_is_used_once():
  twice, once = Parts("{}", ("1", "1")), Parts("{}", ("1", "2"))
  assert not lists.same(twice, once, operator.eq)
  assert not lists.same(once, twice, operator.eq)
