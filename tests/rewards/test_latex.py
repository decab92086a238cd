import pytest

from qsharp_jax.rewards import latex

CANONICAL = [
  (r"\left\{ 1 , 2 \right\}", r"\{ 1 , 2 \}"),
  (r"\dfrac12", r"\frac{1}{2}"),
  (r"\frac\pi 6", r"\frac{\pi}{6}"),
  (r"\frac{\sqrt3}2", r"\frac{\sqrt{3}}{2}"),
  ("\u221a2", r"\sqrt{2}"),
  ("x\u00b2", "x^{2}"),
  ("\u2212\u00bd", r"-\frac{1}{2}"),
  (r"\textbf{\frac{1}{2}}", r"\frac{1}{2}"),
  (r"\mathrm{cm}", r"\text{cm}"),
  (r"\mathrm{e}", "e"),
  (r"\text{13 apples}", r"13 \text{apples}"),
  (r"1 \text{ or } 2", "1, 2"),
  (r"x<1 \text{ or } x>2", r"x<1 \text{ or } x>2"),
  (r"1{,}000\,000", "1,000,000"),
  (r"\sin 30^\circ", r"\sin (30\cdot\frac{\pi}{180})"),
  (r"30^{\circ}", r"30\degree"),
  (r"\sin 30º", r"\sin (30\cdot\frac{\pi}{180})"),
  ("]1,2]", "(1,2]"),
  ("3(4)", r"3\cdot (4)"),
  (r"{5 \choose 2}", r"\binom{5 }{ 2}"),
  (r"\begin{pmatrix}1 & 2 \\ 3\end{pmatrix}",) * 2,
  ("{5", "{5"),
]


@pytest.mark.parametrize("text, expected", CANONICAL)
def test_canonical(text, expected):
  assert latex.canonical(text).replace(" ", "") == expected.replace(" ", "")


@pytest.mark.parametrize("text, _", CANONICAL)
def test_a_canonical_text_stays_as_it_is(text, _):
  once = latex.canonical(text)
  assert latex.canonical(once) == once


def test_one_group():
  assert latex.is_one_group("(a(b)c]")
  assert not latex.is_one_group("(a)(b)")
  assert not latex.is_one_group("(a")


def test_balance():
  assert latex.is_balanced("{a{b}}")
  assert not latex.is_balanced("}{")
  assert not latex.is_balanced("{a")
