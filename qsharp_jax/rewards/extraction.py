r"""Cutting the answer out of a completion: rules, each with its name.

strict    the number of the last `#### N`, the form of GSM8K's own solutions
flexible  the last number of the text, whatever stands around it
boxed     the content of the last `\boxed{}`, the form asked for in prompts
path      the whole text, numbers of the nodes of a graph
choice    the letter in the last box, else one at the end of the text

Numbers come back in one plain form: ASCII digits, at most one leading minus,
no `$`, no thousands commas, no percent sign, no trailing dot (`-1234.50`,
`3/4`, `1.5e3`).
"""

import re

_DECIMAL = (
  r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)"  # 1,234 before 1
  r"(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3}(?![0-9A-Za-z]))?"
  r"|(?<![\w}\])])\.[0-9]+"  # .5, yet not the dot of "No.5"
)
# The sign stands before or after the currency sign: -$5 and $-5.
_NUMBER = (
  r"(?P<date>(?<=[0-9]/))?"
  r"(?P<sign>[-+\u2212])?(?:\\?[$€£]\s?(?P<inner>[-+\u2212])?)?"
  rf"(?P<decimal>{_DECIMAL})"
  # A fraction, but neither a date (1/2/2020) nor a division by zero.
  r"(?(date)|(?:\s?/\s?"
  r"(?P<denominator>(?!0+(?![0-9]))[0-9]+(?![0-9.,/]*[0-9/])))?)"
)
# A digit glued to a letter, a `^` or a `_` is part of a name or of a unit
# (x1, m^2), a digit after digit-dot part of a version number; and a minus
# after a digit, a letter or a closing bracket subtracts.
_FREE = re.compile(
  r"(?=[-+\u2212\\$€£.0-9])"  # most positions end here, cheaply
  r"(?<![A-Za-z_^0-9])(?<![0-9]\.)(?<![_^]\{)"
  r"(?<![)\]}%](?=[-+\u2212]))" + _NUMBER
)
_STRICT = re.compile(r"####\s*" + _NUMBER)
_LATEX_FRACTION = re.compile(
  r"([A-Za-z0-9]?)\\[dtc]?frac\s*\{\s*(-?[0-9]+)\s*\}\s*\{\s*([0-9]+)\s*\}"
)
_LATEX_COMMA = re.compile(r"(?<=[0-9])(?:\{,\}|,?\\[,!])(?=[0-9]{3})")
_LATEX_COMMAND = re.compile(r"(\\(?![dtc]?frac)[A-Za-z]+)(?=[0-9])")
_TAIL = 128  # characters
_MARGIN = 48
_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_IN_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}")
_BOXED_LETTER = re.compile(r"[(\[]?([A-J])(?:[)\].:]|\s*$)")
_FINAL_LETTER = re.compile(r"(?<![A-Za-z0-9'])[(\[]?([A-J])[)\]]?[.!]?[\s*$]*$")
_TRAILING_DOT = re.compile(r"(?<=[0-9])\.$")


def _plain(match: re.Match) -> str:
  """The plain form of one match of `_NUMBER`."""
  decimal = match["decimal"].replace(",", "")
  signs = (match["sign"] or "") + (match["inner"] or "")
  sign = "-" if ("-" in signs or "\u2212" in signs) else ""
  number = sign + ("0" + decimal if decimal.startswith(".") else decimal)
  denominator = match["denominator"]
  return f"{number}/{denominator}" if denominator else number


def _slashed(match: re.Match) -> str:
  r"""`-\frac{1}{2}` as `-1/2`, kept apart from a letter or digit before it."""
  before, numerator, denominator = match.groups()
  return (
    f"{before} {numerator}/{denominator}"
    if before
    else (f"{numerator}/{denominator}")
  )


def _last(matches) -> re.Match | None:
  last = None
  for last in matches:  # noqa: B007 - only the last one counts
    pass
  return last


def strict(text: str) -> str | None:
  """The number of the last `#### N` in a text.

  Args:
    text: a completion or a GSM8K solution.

  Returns:
    N in plain form, None without a `####` that a number follows.

  Source: the GSM8K data set, arXiv 2110.14168.
  """
  match = _last(_STRICT.finditer(text))
  return _plain(match) if match else None


def numbers(text: str) -> list[str]:
  r"""All numbers of a text in reading order, in plain form.

  `\frac{a}{b}` of integers counts as a/b; digits glued to a letter, `^` or `_`
  do not count. A mixed number (`2 1/2`) stays two numbers.
  """
  return [_plain(match) for match in _free_matches(text)]


def flexible(text: str) -> str | None:
  """The last number of a text in plain form, None without one."""
  # The tail nearly always settles it, ten times faster. A match too near the
  # cut may have lost what stands before it: then the whole text is read.
  found = _free_matches(text[-_TAIL:])
  if len(text) > _TAIL and not (found and found[-1].start() >= _MARGIN):
    found = _free_matches(text)
  return _plain(found[-1]) if found else None


def _free_matches(text: str) -> list[re.Match]:
  if "\\" in text or "{,}" in text:
    text = _LATEX_COMMA.sub(",", text)
    text = _LATEX_COMMAND.sub(r"\1 ", text)
    text = _LATEX_FRACTION.sub(_slashed, text)
  return list(_FREE.finditer(text))


def boxed(text: str) -> str | None:
  r"""The content of the last `\boxed{}` or `\fbox{}` of a text.

  An unbalanced last box is a truncated answer: it is not replaced by an
  earlier one. A box without braces (`\boxed 5`) holds what follows up to the
  next space or `$`.

  Args:
    text: a completion or a MATH solution.

  Returns:
    The content, stripped; None without a box, with an unbalanced or empty one.
  """
  box = _last(_BOX.finditer(text))
  if box is None:
    return None
  rest = text[box.end() :].lstrip()
  content = _braced(rest) if rest.startswith("{") else _bare(rest)
  return tidy(content) or None


def path(text: str) -> str | None:
  """The node numbers that make up a text, joined by commas.

  Args:
    text: numbers between commas or spaces, such as `3 14 5`.

  Returns:
    The numbers as `3,14,5`; None where there is anything else, or nothing.
  """
  words = text.replace(",", " ").split()
  is_path = words and all(word.isascii() and word.isdigit() for word in words)
  return ",".join(words) if is_path else None


def choice(text: str) -> str | None:
  r"""The letter, A to J, that a text chooses.

  Args:
    text: a completion. Its last box counts, holding the letter alone or before
      a dot, colon or bracket (`(B)`, `B. the dog`); without a box, a letter by
      itself at the end of the text.

  Returns:
    The letter; None without one, or with a box that holds something else.
  """
  box = _last(_BOX.finditer(text))
  if box is None:
    match = _FINAL_LETTER.search(text)
    return match[1] if match else None
  content = _IN_TEXT.sub(r"\1", boxed(text) or "")
  match = _BOXED_LETTER.match(content.strip())
  return match[1] if match else None


def tidy(content: str) -> str:
  """Strips space, one enclosing pair of `$` and the dot after a number."""
  content = content.strip()
  if content[:1] == content[-1:] == "$" and content.count("$") == 2:
    content = content[1:-1].strip()
  return _TRAILING_DOT.sub("", content)


def _braced(text: str) -> str:
  r"""What the braces opening `text` enclose; `\{` and `\}` do not count."""
  depth = 0
  for brace in _BRACE.finditer(text):
    depth += {"{": 1, "}": -1}.get(brace[0], 0)
    if depth == 0 and brace[0] == "}":
      return text[1 : brace.start()]
  return ""


def _bare(text: str) -> str:
  word = re.match(r"[^\s$]*", text)[0]
  return word.rstrip(".,;")
