"""A gold answer equals itself in every notation that docs/graders.md names.

Values are drawn, then written twice, each time in a notation of its own: the
one is the gold, the other the prediction. The next value is never equal.
"""

import fractions

import hypothesis
from hypothesis import strategies as st

from qsharp_jax.rewards import graders

# The same examples in every run, and none of them kept in a file.
few = hypothesis.settings(
  max_examples=80, derandomize=True, deadline=None, database=None
)

THOUSANDS = (
  *("", ",", "{,}", "'", "_", " ", "\u2009", "\u00a0", r"\,"),
  *(r",\!", r"\ ", "\u2019"),
)
MINUSES = ("-", "\u2212", "\u2013", "\uff0d", "\u2011")
MONEY = ("$", r"\$", "US$", "\u20b9", "\u20ac", r"\pounds ")
AFTER = ("%", r"\%", "\u00b0", r"^\circ", " cm", r"\text{ cm}", " apples", ".")
IN_PROSE = (" m^2", "km", "/day", "-inch", " dollars")
AROUND = (
  *("${}$", r"\({}\)", r"\text{{{}}}", r"\mathbf{{{}}}", r"{{\bf {}}}"),
  *(r"\displaystyle {}", r"\left({}\right)", "~{}", r"{}\ ", r"\;{}\;"),
)
MARKDOWN = ("**{}**", "_{}_", "`{}`")
LEADS = ("", "Answer: ", "The answer is ", "about ", "\u2248 ", "= ", "x = ")
UNITS = (
  ("cm", r"\text{ cm}", r"\,\mathrm{cm}", " centimeters", r"\text{centimeter}"),
  ("\u00b0", r"^\circ", r"^{\circ}", r"\text{ degrees}", r"\degree"),
  (r"\%", r"\text{ percent}", "%"),
  (r"\text{ cm}^2", r"\text{ square centimeters}", r"\mathrm{cm}^{2}"),
)
NAMES = ("", "x=", "x = ", r"\text{}x=")
WORDS = ("Tuesday", "blue", "seven cats", "parabola")


def one_of(*options):
  return st.sampled_from(options)


def grouped(digits: str, sign: str) -> str:
  """An integer in groups of three."""
  head = len(digits) % 3 or 3
  groups = [digits[:head]]
  groups += [digits[i : i + 3] for i in range(head, len(digits), 3)]
  return sign.join(groups)


@st.composite
def decimals(draw, value):
  """A number of at most two places, its digits grouped or not."""
  whole, rest = divmod(int(abs(value) * 100), 100)
  text, places = str(whole), f"{rest:02d}".rstrip("0")
  if whole >= 1000:
    text = grouped(text, draw(one_of(*THOUSANDS)))
  zeros = draw(one_of("", "0", "00"))
  if places or zeros:
    text += f".{places}{zeros}"
  return text


@st.composite
def quotients(draw, value):
  """A fraction in one line or by LaTeX, reduced or not."""
  factor = draw(st.integers(1, 3))
  top, bottom = abs(value.numerator) * factor, value.denominator * factor
  forms = ["{}/{}", r"\frac{{{}}}{{{}}}", r"\dfrac{{{}}}{{{}}}", "{} / {}"]
  forms += ["{}\u2044{}", r"\tfrac{{{}}}{{{}}}", r"{{{}\over {}}}", "({}/{})"]
  forms += [r"\left(\frac{{{}}}{{{}}}\right)"]
  if max(top, bottom) < 10:
    forms += [r"\frac{}{}", r"\frac {} {}"]
  return draw(one_of(*forms)).format(top, bottom)


@st.composite
def numbers(draw, value, ignored=AFTER, around=AROUND, money=MONEY):
  """A number as a person writes it, with what counts for nothing around it."""
  sign = draw(one_of(*MINUSES)) if value < 0 else ""
  if (value * 100).denominator > 1 or draw(one_of(*range(4))) == 0:
    return sign + draw(quotients(value))
  text = draw(decimals(value))
  kind = draw(one_of("money", "after", "around", "bare"))
  if kind == "money":
    currency = draw(one_of(*money))
    both = (sign, currency) if draw(st.booleans()) else (currency, sign)
    return "".join(both) + text
  if kind == "after":
    return sign + text + draw(one_of(*ignored))
  if kind == "around" and "_" not in text:
    return draw(one_of(*around)).format(sign + text)
  return sign + text


VALUES = st.one_of(
  st.integers(-(10**7), 10**7).map(fractions.Fraction),
  st.integers(-(10**9), 10**9).map(lambda n: fractions.Fraction(n, 100)),
  st.builds(fractions.Fraction, st.integers(-200, 200), st.integers(1, 60)),
)


def agree(grader, prediction, gold, is_right=True):
  found = grader(prediction, gold)
  assert found.error is None, (prediction, gold, found)
  assert found.correct is is_right, (prediction, gold, found)


@few
@hypothesis.given(st.data(), VALUES, one_of(0, 0, 1))
def test_a_number_after_the_mark(data, value, more):
  more_around = AFTER + IN_PROSE, AROUND + MARKDOWN
  gold = data.draw(numbers(value, *more_around))
  own = data.draw(one_of(*LEADS)) + data.draw(numbers(value + more))
  agree(graders.strict, f"6 * 7 = 42\n#### {own}", f"so\n#### {gold}", not more)


@few
@hypothesis.given(st.data(), VALUES, one_of(0, 0, 1))
def test_the_last_number_of_prose(data, value, more):
  gold = data.draw(numbers(value))
  own = data.draw(numbers(value + more, AFTER + IN_PROSE, AROUND + MARKDOWN))
  agree(graders.flexible, f"First 17, so it is {own}", f"#### {gold}", not more)


def boxed(content: str) -> str:
  return rf"Thus \boxed{{{content}}}."


@few
@hypothesis.given(st.data(), VALUES, one_of(0, 0, 1))
def test_a_number_in_a_box(data, value, more):
  # Here a currency and a percent sign are units, which must not differ.
  gold = data.draw(numbers(value, (".",), money=("",)))
  own = data.draw(numbers(value + more))
  agree(graders.boxed, boxed(own), boxed(gold), not more)
  agree(graders.boxed, boxed(gold), boxed(own), not more)


SMALL = st.integers(-30, 30).map(fractions.Fraction)
SPACE = one_of("", " ", r"\,", r"\ ", "~")


@st.composite
def lists(draw, values, left, right):
  """Values between brackets of whatever size, with space or none."""
  size, shut = draw(
    one_of(
      ("", ""), (r"\left", r"\right"), (r"\big", r"\big"), (r"\Bigl", r"\Bigr")
    )
  )
  parts = [str(v) if v >= 0 else f"-{-v}" for v in values]
  between = "," + draw(SPACE)
  return f"{size}{left}{draw(SPACE)}{between.join(parts)}{shut}{right}"


@few
@hypothesis.given(st.data(), st.lists(SMALL, min_size=2, max_size=3))
def test_intervals_points_and_sets(data, values):
  left, right = data.draw(one_of(*("()", "[]", "(]", "[)")))
  if len(values) > 2:
    left, right = "()"
  ordered = lambda: data.draw(lists(values, left, right))
  agree(graders.boxed, boxed(ordered()), boxed(ordered()))
  values = list(dict.fromkeys(values))
  some = lambda: data.draw(
    lists(data.draw(st.permutations(values)), r"\{", r"\}")
  )
  agree(graders.boxed, boxed(some()), boxed(some()))
  if len(values) > 1:
    agree(graders.boxed, boxed(ordered()), boxed(some()), False)


@few
@hypothesis.given(st.data(), SMALL, one_of(*UNITS), one_of(*NAMES))
def test_units_and_names_may_be_missing(data, value, units, name):
  value = abs(value)
  written = lambda: f"{value}{data.draw(one_of('', *units))}"
  agree(graders.boxed, boxed(written()), boxed(f"{name}{written()}"))
  agree(graders.boxed, boxed(f"{name}{written()}"), boxed(written()))


@few
@hypothesis.given(st.data(), one_of(*WORDS), one_of(*WORDS))
def test_words(data, word, other):
  forms = one_of(
    *(
      "{}",
      r"\text{{{}}}",
      r"\text{{ {} }}",
      r"\textbf{{{}}}",
      r"\mathrm{{{}}}",
    )
  )
  written = data.draw(forms).format(word)
  gold = data.draw(one_of(r"\text{{{}}}", r"\text{{The {}}}")).format(other)
  agree(graders.boxed, boxed(written), boxed(gold), word == other)


@few
@hypothesis.given(st.data(), one_of(*"ABCDEFGHIJ"), one_of(*"ABCDEFGHIJ"))
def test_letters_of_a_choice(data, letter, other):
  forms = one_of(*(r"\boxed{{{}}}", r"\boxed{{\text{{({})}}}}", "It is ({})."))
  both = [data.draw(forms).format(x) for x in (letter, other)]
  agree(graders.choice, *both, letter == other)


@few
@hypothesis.given(st.data(), st.lists(st.integers(0, 99), min_size=1))
def test_paths(data, nodes):
  between = one_of(",", " ", ", ", "  ")
  both = [data.draw(between).join(map(str, nodes)) for _ in range(2)]
  agree(graders.path, *both)
  agree(graders.path, both[0], f"{both[1]} 100", False)
