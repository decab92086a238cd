import pytest

from qsharp_jax.rewards import numerals

# (text, number) by the kinds of docs/graders.md. As the answer itself.
READ = [
  ("26 400", "26400"),
  ("3\u202f141\u00a0592", "3141592"),
  ("8'250", "8250"),
  ("8\u2019250.5", "8250.5"),
  ("8_250", "8250"),
  ("45,00,000", "4500000"),
  (r"9{,}300", "9300"),
  (r"9\,300\,100", "9300100"),
  (r"9\ 300", "9300"),
  ("5 2/3", "17/3"),
  ("5\u2154", "17/3"),
  (r"5\frac{2}{3}", "17/3"),
  (r"-5\tfrac 2 3", "-17/3"),
  ("\u00be", "3/4"),
  ("-\u00be", "-3/4"),
  ("5\u20448", "5/8"),
  ("10^4", "10000"),
  ("10\u2074", "10000"),
  (r"10^{-2}", "1/100"),
  ("3**4", "81"),
  ("7.5 \u00d7 10^3", "7500"),
  (r"7.5\cdot10^{3}", "7500"),
  (r"\frac{1.5}{6}", "1/4"),
  (r"\frac{2,000}{7}", "2000/7"),
  (r"\frac{\$9}{-4}", "-9/4"),
  (r"\dfrac{7}9", "7/9"),
  (r"\frac79", "7/9"),
  ("\u20139", "-9"),
  ("\uff0d9", "-9"),
  ("- 9", "-9"),
  ("-$ 9", "-9"),
  ("$\u20119", "-9"),
  ("\u20b99,100", "9100"),
  ("US$9", "9"),
  ("**9**", "9"),
  ("`9`", "9"),
  (r"$\$9$", "9"),
  (r"\(9\)", "9"),
  (r"\text{9 cm}^2", "9"),
  ("9 m\u00b2", "9"),
  ("9 km/h", "9"),
  ("9-inch", "9"),
  ("9\u00b0C", "9"),
  ("y = 3 * 3 = 9", "9"),
  ("1.5 million", "1500000"),
  ("3k", "3000"),
  ("9 pm", "9"),
]

# Not one number: half of it would be another one than the writer meant.
NOT_READ = [
  "4:30",
  "4:30:15",
  "6\u20138",
  "6 - 8",
  "6~8",
  "6 or 8",
  "6 to 8",
  "6, 8",
  "2,5",
  "2.345,67",
  "1,00",
  "6 8",
  "6!",
  "6 * 8",
  "6 \u00d7 8",
  r"6 \times 8",
  "6 x 8",
  "6(8)",
  "(-6)^2",
  "2^3^2",
  "6x",
  "6\u03c0",
  r"6\sqrt{2}",
  "\u221a6",
  "\u00b16",
  "6 \u00b1 8",
  "> 6",
  "6 or more",
  "6 squared",
  "5 ft 10 in",
  "2 hours and 30 minutes",
  "12/25/2020",
  "1.2.3",
  "7 5/3",
  r"\frac{x}{2}",
  r"\frac{6}{0}",
  "0^0",
  "9^99999",
  "about",
  "",
]

LAST = [
  ("in 3 days she saves 26 400 yen", "26400"),
  ("he needs 5 2/3 cups", "17/3"),
  ("3 jars of \u00bd litre", "1/2"),
  ("it falls to \u201312\u00b0", "-12"),
  ("it is -\u00a0no, 12", "12"),
  ("x = - 7", "-7"),
  ("9 - 2", "2"),
  ("that is 3 \u00d7 10^8 m", "300000000"),
  ("that is __12__ eggs", "12"),
  ("it is _12_.", "12"),
  ("it is 5!", "5"),
  ("at 3:45", None),
  ("it weighs 3,5 kg", None),
  ("so 3 * 4", None),
  (r"so $\frac{x}{2}$", None),
  (r"7 of $\frac{9}{\frac{1}{2}}$", None),
  (r"so 3\sqrt{2}", None),
  ("12\nnothing here", "12"),
]


@pytest.mark.parametrize("text, number", READ)
def test_read(text, number):
  assert numerals.read(text) == number
  assert numerals.last(f"In 4 words, it is {text}") == number


@pytest.mark.parametrize("text", NOT_READ)
def test_half_of_something_else_is_not_read(text):
  assert numerals.read(text) is None


@pytest.mark.parametrize("text, number", LAST)
def test_last(text, number):
  assert numerals.last(text) == number


def test_thousands_of_digits_raise_nothing():
  nines = "9" * 5000
  assert numerals.read(nines) == nines
  for text in (f"{nines} 1/2", f"{nines}/2", f"\\frac{{{nines}}}{{2}}"):
    assert numerals.read(text) is None
    assert numerals.value(text) is None
  for text in (f"1/{nines}", f"{nines}^2", f"{nines} million"):
    assert numerals.read(text) is None


def test_every():
  text = r"from 2 1/2 and $\frac12$ at 3:30, x_1"
  assert numerals.every(text) == ["5/2", "1/2", None, None]


def test_begins():
  assert numerals.begins(" 3:30")
  assert not numerals.begins("at 3:30")
  assert not numerals.begins("")


def test_long_texts_take_no_time():
  for text in ("1 000 " * 20_000, "1,000," * 20_000, "{" * 50_000, "9" * 10**5):
    numerals.last(text + "5")
    numerals.last("\\frac" * 10_000 + text)
    numerals.last("\\frac{a" * 10_000 + text)
