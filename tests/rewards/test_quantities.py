import pytest

from qsharp_jax.rewards import quantities
from qsharp_jax.rewards.quantities import Quantity

SPLIT = [
  (r"12 \text{ cm}^2", Quantity("12", "centimeter ^2")),
  (r"12 \text{ square centimeters}", Quantity("12", "centimeter ^2")),
  ("12 cm", Quantity("12", "centimeter")),
  (r"12 \text{ apples}", Quantity("12", "apple")),
  (r"12 \text{ or more}", Quantity(r"12 \text{ or more}", None)),
  (r"12 \text{x}", Quantity(r"12 \text{x}", None)),
  ("12 a b", Quantity("12 a b")),
  (r"\$12", Quantity("12", "dollar")),
  ("-£12", Quantity("-12", "pound")),
  (r"12\%", Quantity("12", "percent")),
  (r"12 \text{ million}", Quantity("12", "", 6)),
  (r"12 \text{ thousand dollars}", Quantity("12", "dollar", 3)),
  (r"12\degree", Quantity("12", "degree")),
  ("x + 1", Quantity("x + 1")),
]


@pytest.mark.parametrize("text, expected", SPLIT)
def test_split(text, expected):
  assert quantities.split(text) == expected


def test_times():
  assert quantities.same_time("7:15", r"7:15 \text{ PM}") is True
  assert quantities.same_time("7:15 a.m.", r"7:15 \text{ p.m.}") is False
  assert quantities.same_time("7:15", "7:16") is False
  assert quantities.same_time("7:15", "8") is None


def test_words():
  assert quantities.as_words(r"\text{The Ellipse.}") == "ellipse"
  assert quantities.as_words("(C)") == "C"
  assert quantities.as_words(r"\text{Room 5}") is None
  assert quantities.as_words(r"\pi") is None
