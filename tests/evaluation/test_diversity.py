import math

import pytest

from qsharp_jax.evaluation import diversity


@pytest.mark.parametrize(
  ("text", "wanted"),
  [
    # 4 pairs, 3 triples, 2 quadruples, all distinct.
    ("a b c d e", 4 / 5 * 3 / 4 * 2 / 3),
    # a b a b a: ab, ba; aba, bab; abab, baba.
    ("a b a b a", 2 / 5 * 2 / 4 * 2 / 3),
    ("no no no no no", 1 / 5 * 1 / 4 * 1 / 3),
    ("Well, well!", 3 / 4 * 2 / 3 * 1 / 2),  # signs are words, case counts
    ("three words only", 0.0),  # no quadruple
    ("", 0.0),
  ],
)
def test_by_hand(text, wanted):
  assert diversity.diversity(text) == pytest.approx(wanted)


def test_as_the_field_writes_it():
  """prod (1 - rep_n / 100), rep_n = 100 (1 - distinct / (all + 1))."""
  text = "the cat and the dog and the cat and the hen, and all is well"
  words = text.replace(",", " ,").split()
  product = 1.0
  for n in (2, 3, 4):
    grams = list(zip(*(words[i:] for i in range(n)), strict=False))
    rep = 100 * (1 - len(set(grams)) / (len(grams) + 1))
    product *= 1 - rep / 100
  assert diversity.diversity(text) == pytest.approx(product)


def test_the_mean_over_answers():
  texts = ["a b c d e", "no no no no no"]
  wanted = (0.4 + 1 / 60) / 2
  assert diversity.mean_diversity(texts) == pytest.approx(wanted)
  assert math.isnan(diversity.mean_diversity([]))
