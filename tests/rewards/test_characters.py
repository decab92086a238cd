"""Signs around numbers, brought down to ASCII: cases by hand."""

import unicodedata

import pytest

from qsharp_jax.rewards import characters


@pytest.mark.parametrize(
  ("text", "plain"),
  [
    ("18", "18"),
    ("\u22123", "-3"),
    ("1\u202f000", "1 000"),
    ("4\u200b2", "42"),
    ("€5", "$5"),
    ("3×10⁻²", "3*10^-2"),
    ("½", "\u20391/2\u203a"),
    ("\u20391\u203a", "(1)"),
    (r"\frac{1}{2}", "\u20391/2\u203a"),
    (r"\dfrac{-1}{-2}", "\u20391/2\u203a"),
    (r"\frac{3}{-4}", "\u2039-3/4\u203a"),
    (r"\frac12", "\u20391/2\u203a"),
    (r"\frac{1.5}{3}", "\u20391/2\u203a"),
    (r"\frac{x}{2}", "\u2039?\u203a"),
    (r"\frac{1}{0}", "\u2039?\u203a"),
    (r"1{,}234\,567", "1,234,567"),
    (r"90^\circ", "90"),
    (r"x^{-2}", "x^-2"),
    (r"\text{is }5", " is  5"),
    (r"5\%", "5%"),
    (r"2 \cdot 3", "2 * 3"),
    ("x is - 5", "x is -5"),
    ("x - 5", "x - 5"),
    ("__5", "5"),
    ("a_5", "a_5"),
  ],
)
def test_what_numbers_are_written_with(text, plain):
  assert characters.plain(text) == plain


def test_every_vulgar_fraction_is_the_number_unicode_says():
  for sign, text in characters.VULGAR.items():
    over, under = map(int, text.split("/"))
    assert abs(unicodedata.numeric(sign) - over / under) < 1e-6
