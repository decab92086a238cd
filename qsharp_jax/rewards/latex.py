r"""One spelling for the LaTeX and the Unicode of an answer.

What is only typography (fonts, spacing, sizes of brackets, the many names of
one sign) goes; what is mathematics or words stays, words as `\text{}`.
"""

import re
import unicodedata

from qsharp_jax.rewards import characters

_UNICODE = str.maketrans(
  dict.fromkeys(characters.MINUS_SIGNS, "-")
  | dict.fromkeys(characters.SPACES, " ")
  | dict.fromkeys(characters.INVISIBLE, "")
  | {
    vulgar: "\\frac{{{}}}{{{}}}".format(*plain.split("/"))
    for vulgar, plain in characters.VULGAR.items()
  }
  | {"⁄": "/", "∕": "/", "÷": r"\div ", "×": r"\cdot ", "∗": r"\cdot "}
  | {"·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "…": r"\ldots "}
  | {"∞": r"\infty ", "√": r"\sqrt ", "∛": r"\sqrt[3] ", "π": r"\pi "}
  | {"≤": r"\leq ", "⩽": r"\leq ", "≥": r"\geq ", "⩾": r"\geq "}
  | {
    "≠": r"\neq ",
    "±": r"\pm ",
    "∓": r"\mp ",
    "°": r"\degree ",
    "º": r"\degree ",
  }
  | {"∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset "}
  | {"⌀": r"\emptyset ", "∖": r"\setminus ", "→": r"\to ", "≡": r"\equiv "}
  | {"ℝ": r"\mathbb{R}", "ℕ": r"\mathbb{N}", "ℤ": r"\mathbb{Z}"}
  | {"ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}", "′": "'", "’": "'"}
  | {"⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil "}
  | {"⟨": r"\langle ", "⟩": r"\rangle ", "△": r"\triangle ", "∠": r"\angle "}
)
_GREEK = (
  "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi "
  "omicron pi rho final sigma tau upsilon phi chi psi omega"
).split()
_SUBSCRIPT = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")

_NESTED = r"(?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})*"
_SYNONYMS = {
  **dict.fromkeys(["dfrac", "tfrac", "cfrac"], r"\frac"),
  **dict.fromkeys(["dbinom", "tbinom"], r"\binom"),
  **dict.fromkeys(["le", "leqslant"], r"\leq"),
  **dict.fromkeys(["ge", "geqslant"], r"\geq"),
  **dict.fromkeys(["varnothing", "O"], r"\emptyset"),
  **dict.fromkeys(["dots", "cdots", "dotsc"], r"\ldots"),
  **dict.fromkeys(["times", "ast"], r"\cdot"),
  **dict.fromkeys(["lbrace"], r"\{"),
  **dict.fromkeys(["rbrace"], r"\}"),
  **dict.fromkeys(["bmod", "mod"], r"\mod"),
  **dict.fromkeys(["pounds", "textsterling"], "£"),
  "ne": r"\neq",
  "lt": "<",
  "gt": ">",
  "infin": r"\infty",
  "euro": "€",
  "mathdollar": r"\$",
  "textdollar": r"\$",
  "euler": "e",
  "imath": "i",
  "percent": r"\%",
}
_SPACES = {
  *["quad", "qquad", "thinspace", "enspace", "space", "nobreakspace"],
}
_NOTHING = set(
  "left right middle big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl "
  "Biggr displaystyle textstyle scriptstyle bf rm it sf tt sl em bfseries "
  "itshape tiny small normalsize large Large LARGE huge Huge limits nolimits "
  "mathstrut strut negthinspace normalfont".split()
)
_COMMAND = re.compile(r"\\([A-Za-z]+)\s?")
_DELIMITER_DOT = re.compile(r"\\(?:left|right)\s*\.")
_IGNORED_ARGUMENT = re.compile(
  r"\\(?:[hv]?phantom|[hv]space\*?|color|label|tag)\s*\{[^{}]*\}"
  r"|(?<=\\textcolor)\s*\{[^{}]*\}"
)
_THOUSANDS = re.compile(
  r"(?<=[0-9])(?:\{,\}|,?\s?(?:\\[,;:!]\s?|\\ |\\thinspace\s?|~)+)"
  r"(?=[0-9]{3}(?![0-9]))"
)
_APOSTROPHES = re.compile(r"(?<=[0-9])'(?=[0-9]{3}(?![0-9]))")
_FONT = re.compile(
  r"\\(text|textrm|textbf|textit|textsf|texttt|textnormal|textcolor|emph|mbox"
  r"|hbox|mathrm|mathbf|mathit|mathsf|mathtt|mathnormal|boldsymbol|bm|underline"
  r"|operatorname\*?|ensuremath|boxed|fbox|displaylines)\s*"
  r"\{(" + _NESTED + r")\}"
)
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_ARGUMENT = rf"\{{{_NESTED}\}}"
_LOOSE = r"([0-9A-Za-z]|\\(?!frac|sqrt|text)[A-Za-z]+|\\sqrt\{[^{}]*\})"
_SQRT = re.compile(
  r"\\sqrt\s*(\[[^\[\]]*\])?\s*(?:\(([^()]*)\)(?!\s*\^)|([0-9]+|[A-Za-z]|"
  r"\\[A-Za-z]+))"
)
_LATEX_SQRT = re.compile(r"\\sqrt\s*([0-9A-Za-z])")
_FRAC_FIRST = re.compile(rf"\\frac\s*{_LOOSE}")
_FRAC_SECOND = re.compile(rf"(\\frac\s*{_ARGUMENT})\s*{_LOOSE}")
_DEGREE = re.compile(r"\^\s*(?:\\circ|\{\s*\\circ\s*\}|\\degree)\s?")
_ANGLE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*\\degree")
_TRIGONOMETRY = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
_PRODUCT = re.compile(
  r"(?<![_^0-9A-Za-z.])([0-9]+(?:\.[0-9]+)?)\s*(?=\([^(),]*\))"
)
_FRENCH_INTERVAL = re.compile(r"([\])(\[])([^\[\]()]+),([^\[\]()]+)([\])(\[])")
_LIST_WORD = re.compile(
  r",?\s*(?:\\text\{\s*(?:or|and)\s*\}|(?<=\s)(?:or|and)(?=\s))\s*"
)
_COUNTED = re.compile(r"\s*([-+$]*[0-9][0-9.,/]*)\s+([A-Za-z][A-Za-z .]*)")
_CHOOSE = re.compile(r"\{([^{}]*)\\choose(?![a-z])([^{}]*)\}")
_SPACED = re.compile(r"(?<!\\)\\(?:[,;:>]|\s)|~")
_MATH_MODE = re.compile(r"\\[()!/]|(?<!\\)\$(?=.*(?<!\\)\$)")
_INEQUALITY = re.compile(r"[<>]|\\[lg]eq|\\neq")
_PRODUCT_OF_BRACKETS = re.compile(r"(?<=[0-9])\)\s*\(")
_FULL_STOP = re.compile(r"(?<![.\\])[.,;]\Z")
_UNIT_LETTERS = frozenset("mgshlLNJWVAKCF")
_AFTER_A_NUMBER = re.compile(r"[0-9}][\s\\,;:!~]*\Z")
_BRACED_SIGN = re.compile(r"(?<![A-Za-z])\{([,:.])\}")
_BLACKBOARD = re.compile(r"\\mathbb\s*([A-Z])")


def canonical(text: str) -> str:
  """The one spelling of an answer; what cannot be read stays as it is."""
  text = text.strip()
  if not text.isascii():
    text = _ascii(text)
  text = _APOSTROPHES.sub(",", _THOUSANDS.sub(",", text))
  text = _BRACED_SIGN.sub(r"\1", text)
  if any(sign in text for sign in "\\$~"):
    text = _without_typography(text)
  if not _INEQUALITY.search(text):
    text = _LIST_WORD.sub(", ", text)
  if text.startswith("]") or text.endswith("["):
    text = _FRENCH_INTERVAL.sub(_interval, text)
  text = _ANGLE.sub(_radians, text)
  text = _PRODUCT.sub(r"\1\\cdot ", text)
  if "," not in text:
    text = _PRODUCT_OF_BRACKETS.sub(r")\\cdot (", text)
  text = _unwrapped(re.sub(r"\s+", " ", text))
  return _FULL_STOP.sub("", text)


def _without_typography(text: str) -> str:
  text = _DELIMITER_DOT.sub(" ", text)
  text = _IGNORED_ARGUMENT.sub(" ", text)
  text = _MATH_MODE.sub("", text)
  text = _COMMAND.sub(_renamed, text)
  text = _without_fonts(text)
  text = _SPACED.sub(" ", text)
  text = _CHOOSE.sub(r"\\binom{\1}{\2}", text)
  text = _DEGREE.sub(r"\\degree ", _unwrapped(text))
  return _braced(_BLACKBOARD.sub(r"\\mathbb{\1}", text))


def _unwrapped(text: str) -> str:
  """A text without braces around the whole of it."""
  text = text.strip()
  while text[:1] == "{" and text[-1:] == "}" and is_one_group(text):
    text = text[1:-1].strip()
  return text


def is_one_group(text: str) -> bool:
  r"""Whether the first bracket of a text closes with its last character.

  Round, square and escaped curly brackets match across kinds, as those of
  half-open intervals do.
  """
  depth = 0
  for i, sign in brackets(text):
    depth += 1 if sign in "([{" else -1
    if depth == 0:
      return i == len(text) - 1
  return False


def brackets(text: str):
  r"""Yields (index, bracket) for ( [ { and their ends; `\{` counts as `{`."""
  for i, sign in enumerate(text):
    if sign in "([{)]}":
      yield i, sign


def is_balanced(text: str) -> bool:
  """Whether curly brackets close what they open."""
  depth = 0
  for _, sign in brackets(text):
    depth += {"{": 1, "}": -1}.get(sign, 0)
    if depth < 0:
      return False
  return depth == 0


def _ascii(text: str) -> str:
  text = characters.SUPERSCRIPT.sub(
    lambda m: "^{" + m[0].translate(characters.SUPERSCRIPTS) + "}", text
  )
  text = _SUBSCRIPT.sub(
    lambda m: "_{" + m[0].translate(_SUBSCRIPTS) + "}", text
  ).translate(_UNICODE)
  return "".join(c if c.isascii() else _letter(c) for c in text)


def _letter(char: str) -> str:
  """Greek by its command, other characters by their compatible form."""
  if char in "€£¥₹°":
    return char
  small, offset = char.lower(), ord(char.lower()) - ord("α")
  if 0 <= offset < len(_GREEK):
    name = _GREEK[offset]
    return f"\\{name if char == small else name.capitalize()} "
  return unicodedata.normalize("NFKC", char)


def _renamed(match: re.Match) -> str:
  name, space = match[1], match[0][len(match[1]) + 1 :]
  if name in _SYNONYMS:
    return _SYNONYMS[name] + " "
  if name in _NOTHING:
    return ""
  return " " if name in _SPACES else f"\\{name}{space}"


def _without_fonts(text: str) -> str:
  r"""Words in `\text{}`, whatever their font; mathematics without a font."""
  for _ in range(4):  # fonts in fonts
    text, count = _FONT.subn(_font, text)
    if not count:
      break
  return text.replace("\x00", "\\text")


def _font(match: re.Match) -> str:
  r"""One font command: its content where it is mathematics, else `\text{}`."""
  name, content = match[1], re.sub(r"(?<!\\)\$", "", match[2])
  words = content.strip()
  if not re.search("[A-Za-z]", words):
    return content or " "
  if counted := _COUNTED.fullmatch(words):
    return f" {counted[1]} \x00{{{counted[2]}}}"
  listed = re.sub(r"\b(?:and|or)\b", ",", words)
  if re.search("[0-9]", listed) and not _WORD.search(listed):
    return f" {listed} "
  if name.startswith("operatorname"):
    return f"\\{words} " if words.isalpha() else words
  if _FONT.search(words):
    return words
  if _WORD.search(words):
    return f"\x00{{{content}}}"
  is_upright = name.startswith(("text", "mbox", "hbox", "mathrm"))
  if (
    words in _UNIT_LETTERS
    and is_upright
    and (_AFTER_A_NUMBER.search(match.string[: match.start()]))
  ):
    return f"\x00{{{words}}}"
  if "\\" in words or name.startswith("math"):
    return f" {words} "
  return f"\x00{{{content}}}" if is_upright else f" {words}"


def _braced(text: str) -> str:
  r"""`\frac12`, `\frac{\pi}2` and `\sqrt3` with the braces they stand for."""
  text = _LATEX_SQRT.sub(r"\\sqrt{\1}", text) if "\\sqrt" in text else text
  text = _SQRT.sub(_root, text) if "\\sqrt" in text else text
  if "\\frac" in text:
    text = _FRAC_FIRST.sub(r"\\frac{\1}", text)
    text = _FRAC_SECOND.sub(r"\1{\2}", text)
  return text


def _root(match: re.Match) -> str:
  content = match[2] if match[2] is not None else match[3]
  return f"\\sqrt{match[1] or ''}{{{content}}}"


def _interval(match: re.Match) -> str:
  left = "(" if match[1] == "]" else match[1]
  right = ")" if match[4] == "[" else match[4]
  return f"{left}{match[2]},{match[3]}{right}"


def _radians(match: re.Match) -> str:
  r"""Degrees inside an expression; a degree sign at its end is a unit."""
  rest = match.string[match.end() :]
  is_angle = _TRIGONOMETRY.search(match.string)
  if not is_angle and re.fullmatch(r"\s*(?:[CF]|\\text\{.*\})?\s*", rest):
    return match[0]
  return rf"({match[1]}\cdot\frac{{\pi}}{{180}})"
