r"""Cutting the answer out of a completion: rules, each with its name.

strict    the number of the last `#### N`, the form of GSM8K's own solutions
flexible  the last number of the text, whatever stands around it
boxed     the content of the last `\boxed{}`, the form asked for in prompts
path      the whole text, numbers of the nodes of a graph
choice    the letter in the last box, else one at the end of the text

Numbers come back in the plain form of `numerals` (`-1234.50`, `3/4`, `1.5e3`).
"""

import re

from qsharp_jax.rewards import numerals

_MARK = "####"
# Nearly every solution ends so, and this is ten times faster than reading.
_PLAIN_END = re.compile(
  r"####\s*(-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?)\s*\Z"
)
_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_IN_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}")
_BOXED_LETTER = re.compile(
  r"[(\[]?([A-J])(?:[)\].:]|\s*$|\s+[-\u2013\u2014]\s)"
)
_FINAL_LETTER = re.compile(r"(?<![A-Za-z0-9'])[(\[]?([A-J])[)\]]?[.!]?[\s*$]*$")
_CUT_SPACE = re.compile(r"(?<!\\)\\\Z")  # `18\ ` without its space
_TRAILING_DOT = re.compile(r"(?<=[0-9])\.$")


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
    N in plain form. A mark whose line holds no digit is passed over for the one
    before it; None without any, or where N is not read as one number.

  Source: the GSM8K data set, arXiv 2110.14168.
  """
  end = len(text)
  while (start := text.rfind(_MARK, 0, end)) >= 0:
    match = _PLAIN_END.match(text, start)
    if match:
      return match[1].replace(",", "")
    line = text[start + len(_MARK) : end].strip("# \t\r\n").partition("\n")[0]
    number = numerals.read(line)
    if number is not None or numerals.begins(line):
      return number
    end = start
  return None


def flexible(text: str) -> str | None:
  """The last number of a text in plain form; None where it is not read."""
  return numerals.last(text)


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
  content = _CUT_SPACE.sub("", content.strip())
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
