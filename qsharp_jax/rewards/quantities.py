r"""What stands around the value of an answer: units, money, percent, times."""

import dataclasses
import re

_UNITS = {
  # one spelling: its others, singular
  "millimeter": "mm millimetre",
  "centimeter": "cm centimetre",
  "decimeter": "dm decimetre",
  "meter": "m metre",
  "kilometer": "km kilometre",
  "inch": "in inche",
  "foot": "ft feet",
  "yard": "yd",
  "mile": "mi",
  "gram": "g gm gramme",
  "milligram": "mg",
  "kilogram": "kg kilo",
  "ounce": "oz",
  "pound": "lb £ gbp",
  "ton": "tonne",
  "liter": "l litre",
  "milliliter": "ml millilitre",
  "gallon": "gal",
  "quart": "qt",
  "pint": "pt",
  "cup": "",
  "second": "s sec",
  "minute": "min",
  "hour": "h hr",
  "day": "",
  "week": "wk",
  "month": "",
  "year": "yr",
  "degree": "deg °",
  "radian": "rad",
  "dollar": "$ usd buck",
  "euro": "€ eur",
  "yen": "¥ jpy",
  "rupee": "₹ inr rs",
  "cent": "¢",
  "percent": "%",
  "mph": "",
  "kph": "kmh kmph",
  "acre": "",
  "hectare": "ha",
  "unit": "",
  "newton": "n",
  "joule": "j",
  "watt": "w",
  "volt": "v",
  "hertz": "hz",
  "ampere": "a amp",
  "celsius": "c",
  "fahrenheit": "f",
}
_CANONICAL = {
  name: unit
  for unit, others in _UNITS.items()
  for name in (unit, *others.split())
}
# Words that say more than what is counted: with one the text is no unit.
_MEANING = frozenset(
  "or and more less fewer greater smaller above below over under least most "
  "up down to from than not no is isn are was if when where for except only "
  "about approximately roughly nearly almost squared cubed plus minus times "
  "divided pi tau factorial mod modulo half third quarter double twice root "
  "power dozen each wrong correct impossible undefined infinity other any all "
  "solution between through until since before after choose remainder base "
  "prime first mixed repeating th st nd rd".split()
)
_SCALES = {
  "hundred": 2,
  "thousand": 3,
  "million": 6,
  "billion": 9,
  "trillion": 12,
}
_NOT_NOUNS = frozenset(
  "sqrt frac theta alpha beta gamma delta infty cdot sinh cosh tanh lambda "
  "sigma omega".split()
)
_TRAILING_TEXT = re.compile(
  r"\s*(?:\\text\{(?P<text>[^{}]*)\}\s*(?:\^\s*\{?\s*(?P<power>-?[0-9])\s*\}?)?"
  r"|(?<=[\s0-9}])(?P<bare>[A-Za-z]{2,}(?:\s[A-Za-z]{2,}){0,2}(?:/[a-z]+)?)"
  r"(?:\^\s*\{?\s*(?P<bare_power>[0-9])\s*\}?)?"
  r"|(?P<sign>\\%|%|\\degree(?:\s*[CF])?|\\\$|[$€£¥₹°]))\s*[.]?\s*\Z"
)
_LEADING_MONEY = re.compile(
  r"\s*(?P<minus>-?)\s*(?P<symbol>(?:US)?\\?\$|[€£¥₹]"
  r"|\\text\{\s*(?:USD|US\\?\$|EUR|GBP|Rs\.?)\s*\}"
  r"|(?:USD|EUR|GBP|Rs\.?)(?=\s*[0-9]))\s*(?P<rest>-?.*)",
  re.DOTALL,
)
_JOINED = re.compile(r"(?:\s|\\cdot\s*|/)+\Z")
_RATIO_OF_UNITS = re.compile(
  r"\\frac\{\s*\\text\{([^{}]*)\}\s*\}\{\s*\\text\{([^{}]*)\}\s*\}\s*\Z"
)
_TIME = re.compile(
  r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-5][0-9])(?::(?P<second>[0-5][0-9]))?"
  r"\s*(?P<half>[ap]\.?\s?m\.?)?",
  re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class Quantity:
  """An answer taken apart.

  Attributes:
    value: what remains without its unit, LaTeX.
    unit: its unit in one spelling, "" without one, None where the words beside
      the value say more than what is counted.
    scale: the power of ten that a word such as `million` stands for.
  """

  value: str
  unit: str | None = ""
  scale: int = 0


def split(text: str) -> Quantity:
  """Takes an answer, in the spelling of `latex.canonical`, apart."""
  units: list[str] = []
  scale = 0
  text = _RATIO_OF_UNITS.sub(r"\\text{\1/\2}", text)
  money = _LEADING_MONEY.fullmatch(text)
  if money and money["rest"]:
    units.append(_canonical_unit(_currency(money["symbol"])))
    text = money["minus"] + money["rest"]
  while (match := _TRAILING_TEXT.search(text)) and match.start() > 0:
    words = (
      match["text"]
      if match["text"] is not None
      else (
        match["bare"]
        or re.sub(r"[\\ ]", "", match["sign"]).replace("degree", "°")
      )
    )
    power = match["power"] or match["bare_power"]
    first, _, others = words.strip().lower().partition(" ")
    if _singular(first) in _SCALES:
      scale += _SCALES[_singular(first)]
      words = others
    if words.strip():
      unit = _unit(words, power, is_bare=match["bare"] is not None)
      if unit is None:
        if match["bare"] is not None:
          break  # letters of an expression
        return Quantity(text, None)
      units.append(unit)
    text = _JOINED.sub("", text[: match.start()])
  if "\\text" in text:
    return Quantity(text, None)
  joined = " ".join(dict.fromkeys(unit for unit in reversed(units) if unit))
  return Quantity(text, joined, scale)


def same_time(a: str, b: str) -> bool | None:
  """Whether two times of day are the same; None unless both are times.

  A time without a.m. or p.m. is the same as either.
  """
  times = [_TIME.fullmatch(unwrapped(text)) for text in (a, b)]
  if not all(times):
    return None
  first, second = times
  halves = {t["half"][0].lower() for t in times if t["half"]}
  return len(halves) < 2 and all(
    int(first[name] or 0) == int(second[name] or 0)
    for name in ("hour", "minute", "second")
  )


def as_words(text: str) -> str | None:
  r"""The words of an answer that is nothing else, in one spelling.

  Args:
    text: `\text{the Ellipse}`, `(C)`, `Monday`.

  Returns:
    Lower case but for a single letter, without an article, brackets or dots;
    None where there is mathematics.
  """
  words = unwrapped(text)
  if not re.fullmatch(r"[(\[]?[A-Za-z][A-Za-z\s.,'!?-]*[)\]]?[.]?", words):
    return None
  words = " ".join(re.sub(r"[()\[\].,!?]", " ", words).split())
  words = re.sub(r"^(?:the|an?)\s(?=\w)", "", words, flags=re.IGNORECASE)
  return words if len(words) == 1 else words.lower()


def unwrapped(text: str) -> str:
  r"""A text without the `\text{}` around its words."""
  return re.sub(r"\\text\{([^{}]*)\}", r"\1", text).strip()


def _unit(words: str, power: str | None, *, is_bare: bool) -> str | None:
  """One spelling of a unit; None when the words are none."""
  is_lower = words.islower()
  words = re.sub(r"\bper\b", "/", words.strip().lower().replace(".", ""))
  words = re.sub(r"\b(?:sq|square)\b(.*)", r"\1^2", words)
  words = re.sub(r"\b(?:cu|cubic)\b(.*)", r"\1^3", words)
  names = re.findall(r"[a-z°%$€£¥₹¢]+|\^[0-9]|/", words)
  if not names or (
    re.sub(r"[a-z°%$€£¥₹¢\s/^0-9'’-]", "", words)
    or re.search(r"(?<!\^)[0-9]", words)
  ):
    return None if words else ""
  plain = [name for name in names if name[0] not in "^/"]
  if _MEANING & set(plain):
    return None
  known = [_singular(name) in _CANONICAL for name in plain]
  if is_bare and not all(known):
    is_noun = is_lower and all(
      len(n) > 3 and n not in _NOT_NOUNS for n in plain
    )
    if not is_noun:
      return None
  if any(
    len(name) == 1 and not k for name, k in zip(plain, known, strict=True)
  ):
    return None  # \text{x} is a letter
  if power:
    names.append(f"^{power}")
  return " ".join(_canonical_unit(name) for name in names)


def _currency(symbol: str) -> str:
  symbol = re.sub(r"[\\{}\s.]|text", "", symbol)
  return "$" if symbol == "US$" else symbol


def _canonical_unit(name: str) -> str:
  return _CANONICAL.get(_singular(name.lower()), _singular(name.lower()))


def _singular(name: str) -> str:
  if name in _CANONICAL or len(name) < 4:
    return name
  if name.endswith("ies"):
    return name[:-3] + "y"
  return name[:-1] if name.endswith("s") and not name.endswith("ss") else name
