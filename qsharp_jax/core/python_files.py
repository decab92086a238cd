"""A Python file of the user's own as a module, wherever it lies."""

import importlib.util
import os
import pathlib
import sys
from types import ModuleType


def load(path: str | os.PathLike) -> ModuleType:
  """Runs a file once and returns its module.

  Args:
    path: the file; its folder need not be on the path.

  Raises:
    FileNotFoundError: there is no such file.
    Exception: whatever the file raises.
  """
  file = pathlib.Path(path).expanduser().resolve()
  name = f"{file.stem} in {file.parent}"  # files of one name are two modules
  if name in sys.modules:
    return sys.modules[name]
  spec = importlib.util.spec_from_file_location(name, file)
  if spec is None or spec.loader is None:
    raise FileNotFoundError(f"{path} is not a Python file")
  module = importlib.util.module_from_spec(spec)
  sys.modules[name] = module  # dataclasses look their module up
  try:
    spec.loader.exec_module(module)
  except BaseException:
    del sys.modules[name]
    raise
  return module
