"""From the name of a reward to its function, and what it says of itself."""

import ast
import dataclasses
import hashlib
import importlib
import inspect
import math
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from qsharp_jax.core import errors, python_files
from qsharp_jax.core.errors import InputError
from qsharp_jax.rewards import graders
from qsharp_jax.rewards.graders import Grade

RewardFn = Callable[..., float | Grade | Sequence[float | Grade]]
"""(prediction, answer) or (prediction, answer, *, prompt) -> reward; a batched
one takes lists and returns as many rewards. Called in worker processes."""

NAMED: dict[str, RewardFn] = {
  "boxed": graders.boxed,
  "choice": graders.choice,
  "flexible": graders.flexible,
  "path": graders.path,
  "strict": graders.strict,
}

_DECLARED = "qsharp_reward"
_CONFIG = "get_config"  # of a file that is a config as well


@dataclasses.dataclass(frozen=True)
class Traits:
  """What is known of a reward before it is called.

  Attributes:
    is_batched: whether it takes lists and returns as many rewards.
    takes_prompt: whether it wants the question, as the keyword `prompt`.
    bounds: least and greatest reward, None where it does not say.
    source: digest of the file that a user's function stands in, "" where there
      is none.
  """

  is_batched: bool = False
  takes_prompt: bool = False
  bounds: tuple[float, float] | None = None
  source: str = ""


def declare(
  *, is_batched: bool = False, bounds: tuple[float, float] | None = None
) -> Callable[[RewardFn], RewardFn]:
  """Decorates a reward function with what only its author can know.

  Args:
    is_batched: whether it takes lists of predictions, answers (and, as the
      keyword `prompt`, questions) and returns as many rewards.
    bounds: least and greatest reward that it returns.

  Raises:
    InputError: bounds that are not two finite numbers in rising order.
  """
  if bounds is not None:
    low, high = bounds
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
      raise InputError(
        f"the bounds of a reward are {bounds!r}; expected two finite numbers, "
        "the smaller first"
      )
    bounds = (float(low), float(high))

  def mark(function: RewardFn) -> RewardFn:
    setattr(function, _DECLARED, Traits(bool(is_batched), bounds=bounds))
    return function

  return mark


def traits_of(name: str, function: RewardFn) -> Traits:
  """The traits of a reward, declared or read off its signature.

  Args:
    name: that it was resolved from.
    function: the reward.

  Raises:
    InputError: it was declared by something else than `declare`.
  """
  if name in NAMED:
    return Traits(bounds=(0.0, 1.0))
  declared = getattr(function, _DECLARED, Traits())
  if not isinstance(declared, Traits):
    raise InputError(
      f"reward {name!r} has {_DECLARED}={errors.short(declared)}; expected the "
      "decorator qsharp_jax.rewards.declare to set it"
    )
  return dataclasses.replace(
    declared, takes_prompt=_takes_prompt(function), source=_source(function)
  )


def resolve(name: str) -> RewardFn:
  """The reward function of a name.

  Args:
    name: one of `NAMED`, or `package.module:function` or `FILE.py:function`
      for a function of the user's own.

  Returns:
    The function.

  Raises:
    InputError: unknown name, module that fails to import, no such attribute,
      or one that cannot be called.
  """
  check(name)
  if name in NAMED:
    return NAMED[name]
  module_name, _, attribute = name.partition(":")
  function = getattr(_module(module_name, name), attribute, None)
  if function is None:
    raise InputError(
      f"reward {name!r}: module {module_name} has no {attribute!r}; name a "
      "function that it defines"
    )
  if not callable(function):
    raise InputError(
      f"reward {name!r} is of type {type(function).__name__}: expected a "
      "function (prediction, answer) -> float"
    )
  return function


def label(name: str) -> str:
  """The name without the folder of its file, which decides nothing."""
  module_name, colon, attribute = name.partition(":")
  if not module_name.endswith(".py"):
    return name
  return f"{pathlib.PurePath(module_name).name}{colon}{attribute}"


def check(name: str) -> None:
  """Checks what can be told of a name without an import.

  Raises:
    InputError: neither in `NAMED` nor a dotted path, or one to `__main__`.
  """
  module_name, colon, attribute = name.partition(":")
  is_path = colon and module_name and attribute and name.isprintable()
  if name not in NAMED and not is_path:
    raise InputError(
      f"unknown reward {errors.short(name)}: expected one of "
      f"{', '.join(NAMED)}, package.module:function or FILE.py:function"
    )
  if module_name == "__main__":
    raise InputError(
      f"reward {name!r}: worker processes cannot import __main__; move the "
      "function to a module of its own"
    )


def _module(module_name: str, name: str) -> Any:
  try:
    if module_name.endswith(".py"):
      return python_files.load(module_name)
    return importlib.import_module(module_name)
  except (Exception, SystemExit) as error:  # a user's module may do anything
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    raise InputError(
      f"reward {name!r}: module {module_name!r} does not import ({reason}); "
      "put its folder on PYTHONPATH and check that it imports by itself"
    ) from error


def _takes_prompt(function: RewardFn) -> bool:
  try:
    return "prompt" in inspect.signature(function).parameters
  except (TypeError, ValueError):  # a builtin without a signature
    return False


def _source(function: RewardFn) -> str:
  """Digest of the function's file: what it calls there decides, too."""
  try:
    path = inspect.getsourcefile(inspect.unwrap(function))
    if path is None:
      return ""
    content = _without_config(pathlib.Path(path).read_bytes())
    return hashlib.blake2b(content, digest_size=16).hexdigest()
  except (TypeError, ValueError, OSError):  # a callable object, a builtin
    return ""


def _without_config(source: bytes) -> bytes:
  """A file's text without `get_config`: other settings, the same reward."""
  lines = source.splitlines(keepends=True)
  for node in reversed(ast.parse(source).body):
    if isinstance(node, ast.FunctionDef) and node.name == _CONFIG:
      del lines[node.lineno - 1 : node.end_lineno]
  return b"".join(lines)
