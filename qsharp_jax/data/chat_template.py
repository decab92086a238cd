"""Runs the chat templates that come with tokenizers: programs of others.

transformers runs them in a sandbox that keeps them from files and from Python,
not from running for ever, from taking all memory, from dropping what they are
given, or from today's date.
"""

import contextlib
import datetime
import logging
import random
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qsharp_jax.core import errors
from qsharp_jax.core.errors import InputError
from qsharp_jax.data import conversations, template_trial

_logger = logging.getLogger(__name__)

# The date that Llama's templates fall back to where none can be had.
TODAY = datetime.datetime(2024, 7, 26)
_MOST_STEPS = 1_000_000  # lines of Python; templates take some hundred
_COMPILED = "<template>"  # what jinja calls the file of a compiled template


def render(
  hf: Any,
  messages: Sequence[conversations.Message],
  template_kwargs: Mapping[str, Any] | None = None,
  *,
  is_answered: bool = False,
) -> str:
  """The text of a conversation, up to where the answer starts.

  A template that asks for today's date gets a fixed one, `TODAY`, and a warning
  says so: prompts of two days would differ, within one resumed run.

  Args:
    hf: a transformers tokenizer.
    messages: the last one is the user's, or the answer.
    template_kwargs: what else the template reads, such as `enable_thinking`.
    is_answered: the answer is the last message, and nothing follows it.

  Raises:
    InputError: no template, or one that fails, does not end, takes all memory,
      draws random numbers, drops what a user or the system says, or reads no
      such argument.
  """
  if not hf.chat_template:
    raise InputError(
      "the tokenizer has no chat template, which the prompt style 'chat' "
      "needs; use the style 'plain' or an instruct model's tokenizer"
    )
  extra = dict(template_kwargs or {})
  _check_read(extra, str(hf.chat_template))
  fault = "the tokenizer's chat template fails"
  advice = "mend it, or use the prompt style 'plain'"
  with errors.foreign(fault, advice):
    template = hf.get_chat_template()
    template_trial.check(template, messages, {**hf.special_tokens_map, **extra})
  before = random.getstate()
  with (
    errors.foreign(fault, advice),
    _limited_steps(),
    _pinned_date(hf.chat_template) as asked,
  ):
    text = hf.apply_chat_template(
      list(messages),
      add_generation_prompt=not is_answered,
      tokenize=False,
      **extra,
    )
  if random.getstate() != before:
    raise InputError(
      "the tokenizer's chat template draws random numbers, so that prompts "
      "would differ from call to call; mend it, or use the prompt style 'plain'"
    )
  _check_whole(text, messages)
  if asked and not getattr(hf, "_is_date_told", False):
    hf._is_date_told = True  # once for each tokenizer
    _logger.warning(
      "the chat template writes today's date; every prompt gets %s instead, so "
      "that they do not change from day to day",
      TODAY.strftime("%d %B %Y"),
    )
  return text


def _check_read(extra: Mapping[str, Any], template: str) -> None:
  """Refuses arguments that would change nothing, or what is asked for here."""
  for name in extra:
    is_ours = name in ("messages", "add_generation_prompt", "tokenize")
    is_read = re.search(rf"\b{re.escape(name)}\b", template) is not None
    if is_ours or not is_read:
      fault = "is not for a config to set" if is_ours else "is not read by it"
      raise InputError(
        f"the argument {errors.short(name, 80)} of the chat template {fault}; "
        "expected one that the tokenizer's template names, such as "
        "enable_thinking: drop it from data.template_kwargs"
      )


def _check_whole(text: Any, messages: Sequence[conversations.Message]) -> None:
  """Refuses a text in which something is missing that was to be said."""
  # Of earlier answers some templates drop what a model thought.
  names = {"user": "question", "system": "system message"}
  for turn in messages:
    name, content = names.get(turn["role"]), turn["content"]
    if name and (not isinstance(text, str) or content.strip() not in text):
      raise InputError(
        f"the tokenizer's chat template drops the {name}: it makes "
        f"{errors.short(text)} of {errors.short(content)}; mend it, or use the "
        "prompt style 'plain'"
      )


@contextlib.contextmanager
def _pinned_date(template: Any) -> Iterator[list[str]]:
  """Lets transformers' `strftime_now` read a clock that stands still.

  transformers hands nothing to a template but plain data, so the clock is
  changed where that function finds it.

  Args:
    template: the source, or several of them by name.

  Yields:
    What was asked of the clock so far.

  Raises:
    InputError: a template that wants the date, and no such clock.
  """
  from transformers.utils import chat_template_utils  # slow to import

  asked = []

  class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
      asked.append(f"now({tz})")
      return TODAY

  clock = getattr(chat_template_utils, "datetime", None)
  if clock is not datetime.datetime:
    if "strftime_now" in str(template):
      raise InputError(
        "the tokenizer's chat template writes today's date, which cannot be "
        "pinned in this release of transformers: prompts of two days would "
        "differ; mend it, or use the prompt style 'plain'"
      )
    yield asked
    return
  chat_template_utils.datetime = Clock
  try:
    yield asked
  finally:
    chat_template_utils.datetime = clock


@contextlib.contextmanager
def _limited_steps() -> Iterator[None]:
  """Ends a template that runs for too many lines of the Python it becomes.

  Raises:
    InputError: it did.
  """
  left = _MOST_STEPS

  def count(frame, event, argument):
    del event, argument
    nonlocal left
    if frame.f_code.co_filename != _COMPILED:
      return None
    left -= 1
    if left < 0:
      raise InputError(
        f"the tokenizer's chat template does not end within {_MOST_STEPS} "
        "steps; mend it, or use the prompt style 'plain'"
      )
    return count

  before = sys.gettrace()
  sys.settrace(count)
  try:
    yield
  finally:
    sys.settrace(before)
