"""From the name of a reward to its function."""

import importlib
from collections.abc import Callable

from qsharp_jax.core.errors import InputError
from qsharp_jax.rewards import graders
from qsharp_jax.rewards.graders import Grade

RewardFn = Callable[[str, str], float | Grade]
"""(prediction, answer) -> reward. Called in worker processes."""

NAMED: dict[str, RewardFn] = {
  "boxed": graders.boxed,
  "choice": graders.choice,
  "flexible": graders.flexible,
  "path": graders.path,
  "strict": graders.strict,
}


def resolve(name: str) -> RewardFn:
  """The reward function of a name.

  Args:
    name: one of `NAMED`, or `package.module:function` for a function of the
      user's own, (prediction, answer) -> float or Grade.

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


def check(name: str) -> None:
  """Checks what can be told of a name without an import.

  Raises:
    InputError: neither in `NAMED` nor a dotted path, or one to `__main__`.
  """
  module_name, colon, attribute = name.partition(":")
  if name not in NAMED and not (colon and module_name and attribute):
    raise InputError(
      f"unknown reward {name!r}: expected one of {', '.join(NAMED)} or "
      "package.module:function"
    )
  if module_name == "__main__":
    raise InputError(
      f"reward {name!r}: worker processes cannot import __main__; move the "
      "function to a module of its own"
    )


def _module(module_name: str, name: str):
  try:
    return importlib.import_module(module_name)
  except (Exception, SystemExit) as error:  # a user's module may do anything
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    raise InputError(
      f"reward {name!r}: module {module_name!r} does not import ({reason}); "
      "put its folder on PYTHONPATH and check that it imports by itself"
    ) from error
