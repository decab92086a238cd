r"""Unicode and LaTeX around numbers, brought down to a few ASCII signs."""

import re
from fractions import Fraction

MINUS_SIGNS = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d"
SPACES = "\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f"
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
CURRENCIES = "¢£¥" + "".join(map(chr, range(0x20A0, 0x20C1)))  # € and so on
VULGAR = {
  "¼": "1/4",
  "½": "1/2",
  "¾": "3/4",
  "⅐": "1/7",
  "⅑": "1/9",
  "⅒": "1/10",
  "⅓": "1/3",
  "⅔": "2/3",
  "⅕": "1/5",
  "⅖": "2/5",
  "⅗": "3/5",
  "⅘": "4/5",
  "⅙": "1/6",
  "⅚": "5/6",
  "⅛": "1/8",
  "⅜": "3/8",
  "⅝": "5/8",
  "⅞": "7/8",
}
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+")

_TABLE = str.maketrans(
  dict.fromkeys(MINUS_SIGNS, "-")
  | dict.fromkeys(SPACES, " ")
  | dict.fromkeys(INVISIBLE, "")
  | dict.fromkeys(CURRENCIES, "$")
  | {vulgar: f"\u2039{plain}\u203a" for vulgar, plain in VULGAR.items()}
  | {"⁄": "/", "∕": "/", "×": "*", "·": "*", "⋅": "*", "∙": "*", "∗": "*"}
  | {"’": "'", "°": "", "\u2039": "(", "\u203a": ")"}
)
_ARGUMENT = r"\s*(?:\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}|([0-9]))"
_LATEX_FRACTION = re.compile(r"\\[dtcs]?frac(?![A-Za-z])" + _ARGUMENT * 2)
_LATEX_THOUSANDS = re.compile(
  r"(?<=[0-9])(?:\{,\}|,?(?:\\[,;:! ]|\\thinspace\s?|~)+)(?=[0-9]{3}(?![0-9]))"
)
_LATEX_WORDS = re.compile(
  r"\\(?:text[a-z]*|math(?:rm|bf|sf|tt|it)|mbox|emph|underline|boldsymbol|bm)"
  r"\s*\{([^{}]*)\}"
)
_LATEX_QUOTIENT = re.compile(  # {a\over b} and {a}/{b}
  r"\{([^{}]*)\\over(?![A-Za-z])([^{}]*)\}"
  r"|(?<![A-Za-z\]}])\{([^{}]*)\}\s*/\s*\{([^{}]*)\}"
)
_LATEX_SIGNS = {
  r"\$": "$",
  r"\pounds": "$",
  r"\euro": "$",
  r"\bf": " ",
  r"\rm": " ",
  r"\it": " ",
  r"\displaystyle": " ",
  r"\textstyle": " ",
  r"\%": "%",
  r"\times": "*",
  r"\cdot": "*",
  r"\ast": "*",
  r"\div": "\u00f7",
  r"\sqrt": "\u221a",
  r"\pi": "\u03c0",
  r"\pm": "\u00b1",
  r"\left": "",
  r"\right": "",
  r"\degree": "",
  r"\(": " ",
  r"\)": " ",
  r"\[": " ",
  r"\]": " ",
  r"\,": " ",
  r"\;": " ",
  r"\:": " ",
  r"\!": "",
  r"\ ": " ",
}
_LATEX_SIGN = re.compile(r"\\(?:[A-Za-z]+|.)")
_DEGREE = re.compile(r"\^\s*(?:\\circ|\{\s*\\circ\s*\})")
_EXPONENT = re.compile(r"\^\s*\{\s*([-+]?[0-9]+)\s*\}")
_SPACED_MINUS = re.compile(r"((?:=|\bis)\s*-)\s+(?=[$0-9(\u2039])")
_CURRENCY_NAME = re.compile(
  r"(?<![A-Za-z])(?:(?:US|HK|NZ|[ACRS])(?=\$)"
  r"|(?:USD|EUR|GBP|INR|Rs\.?)\s?(?=[-+]?[0-9]))"
)
_NEGATED = re.compile(  # -(3/4), which no subtraction is
  r"(?<=-)(?<![0-9A-Za-z)\]}%\u203a]-)\(\s*([0-9.,/\u2039\u203a]+)\s*\)"
)
_EMPHASIS = re.compile(r"(?<![A-Za-z0-9_}])_{1,2}(?=[-+$0-9])")
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?(?:\.[0-9]+)?")


def plain(text: str) -> str:
  r"""A text whose numbers `numerals` can read.

  Minus signs, spaces and currencies become ASCII (`-`, ` `, `$`), products `*`,
  superscripts `^n`; degrees vanish. `\frac{a}{b}` of numbers and ½ become
  fractions between single angle quotes, `?` between them for any other `\frac`.
  """
  if not text.isascii():
    text = SUPERSCRIPT.sub(
      lambda match: "^" + match[0].translate(SUPERSCRIPTS), text
    ).translate(_TABLE)
  if "\\" in text or "{" in text:
    text = _without_latex(text)
  if any(name in text for name in ("$", "USD", "EUR", "GBP", "INR", "Rs")):
    text = _CURRENCY_NAME.sub("$", text)
  if "- " in text:
    text = _SPACED_MINUS.sub(r"\1", text)
  if "-(" in text:
    text = _NEGATED.sub(r"\1", text)
  return _EMPHASIS.sub("", text) if "_" in text else text


def _without_latex(text: str) -> str:
  text = _LATEX_THOUSANDS.sub(",", text).replace("{,}", ",")
  text = _DEGREE.sub("", text)
  if "/" in text or "\\over" in text:
    text = _LATEX_QUOTIENT.sub(_quotient, text)
  text = _LATEX_FRACTION.sub(_fraction, text)
  text = _LATEX_WORDS.sub(r" \1 ", text)
  text = _LATEX_SIGN.sub(_sign, text)
  return _EXPONENT.sub(r"^\1", text)


def _sign(match: re.Match) -> str:
  command = match[0]
  if command in _LATEX_SIGNS:
    return _LATEX_SIGNS[command]
  return command + " " if command[1].isalpha() else command


def _quotient(match: re.Match) -> str:
  over, under = (part for part in match.groups() if part is not None)
  return f"\\frac{{{over.strip()}}}{{{under.strip()}}}"


def _fraction(match: re.Match) -> str:
  r"""`\frac{-1}{2}` between angle quotes; only the sign is moved."""
  over, under = (
    _number(match[1] if match[1] is not None else match[2]),
    _number(match[3] if match[3] is not None else match[4]),
  )
  if over is None or under is None or Fraction(under) == 0:
    return "\u2039?\u203a"
  if under.startswith("-"):
    over, under = over[1:] if over.startswith("-") else "-" + over, under[1:]
  if "." in over or "." in under:
    return f"\u2039{Fraction(over) / Fraction(under)}\u203a"
  return f"\u2039{over}/{under}\u203a"


def _number(text: str) -> str | None:
  text = text.replace("\\$", "").replace("$", "").strip()
  if not _NUMBER.fullmatch(text) or not text.strip("+-") or len(text) > 99:
    return None
  return text.replace(",", "").lstrip("+")
