"""Tries a chat template in a process of its own, with limits.

A template is a program of others. `{{ 'x' * 10**10 }}` is one step of it, and
as long as it runs nothing in our own process can end it.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from qsharp_jax.core.errors import InputError

_MEMORY = 2 * 2**30  # bytes of address space; a trial takes a tenth
_SECONDS = 10  # of computing
# A thread for each of many cores would reserve what the trial may take.
_PYTHON = ("env", "OPENBLAS_NUM_THREADS=1", sys.executable)
_CODE = (
  "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
  "from qsharp_jax.data import template_trial; template_trial.main()"
)
_TOO_MUCH = 3  # exit code; others are faults that show in our process as well


_tried: set[tuple[str, str]] = set()  # templates that took little


def check(
  template: str,
  messages: Sequence[Mapping[str, str]],
  template_kwargs: Mapping[str, Any],
) -> None:
  """Refuses a template that takes too much; tries each only once.

  Args:
    template: the source.
    messages: those of the first conversation.
    template_kwargs: what else the template reads, such as special tokens.

  Raises:
    InputError: it takes more than 2 GiB of memory or 10 s.
  """
  # Objects that JSON cannot hold, such as tokens, are tried as their text.
  extra = json.dumps(template_kwargs, default=str, sort_keys=True)
  if (template, extra) in _tried:
    return
  trial = subprocess.run(
    [*_PYTHON, "-c", _CODE, json.dumps(sys.path)],
    input="\n".join([json.dumps(template), extra, json.dumps(list(messages))]),
    text=True,
    capture_output=True,
    check=False,
    start_new_session=True,  # not hit by Ctrl-C
  )
  # Killed by a signal, such as that of its computing time.
  if trial.returncode == _TOO_MUCH or trial.returncode < 0:
    raise InputError(
      f"the tokenizer's chat template takes more than {_MEMORY >> 30} GiB of "
      f"memory or {_SECONDS} s to render; mend it, or use the prompt style "
      "'plain'"
    )
  _tried.add((template, extra))


def main() -> None:
  """The trial: template, arguments and messages as JSON lines of stdin."""
  from transformers.utils import chat_template_utils

  template, extra, messages = map(json.loads, sys.stdin)
  resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
  resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
  try:
    chat_template_utils.render_jinja_template(
      [messages], chat_template=template, **extra
    )
  except MemoryError:
    sys.exit(_TOO_MUCH)
