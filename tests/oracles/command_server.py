"""Runs commands in forks of one process that has imported what they need.

Importing takes seconds, a wrong flag milliseconds. A line of stdin is a JSON
object: {"start": argv, "cwd", "env", "stdout", "stderr"} is answered by the
process's id, {"wait": id, "is_blocking"} by its exit code, or null while it
runs. Nothing of jax has run before the fork, which reads its own XLA_FLAGS.
"""

import contextlib
import importlib
import json
import os
import runpy
import sys
import traceback

import transformers

from experiments.harness import command, console, run

# Loaded at their first use otherwise, so in every fork anew.
LAZY = (
  *(command, console, run),
  *(transformers.AutoTokenizer, transformers.Qwen2Config),
)
for name in ("matplotlib.figure", "tensorboardX", "math_verify", "datasets"):
  with contextlib.suppress(ImportError):
    importlib.import_module(name)


def start(argv, cwd, env, stdout, stderr):
  """The id of a process that runs `python -m MODULE FLAGS`."""
  child = os.fork()
  if child:
    return child
  for descriptor, path in enumerate((os.devnull, stdout, stderr)):
    opened = os.open(path, os.O_WRONLY | os.O_CREAT if descriptor else 0, 0o600)
    os.dup2(opened, descriptor)
  os.chdir(cwd)
  os.environ.clear()
  os.environ.update(env)
  sys.path[:0] = ["", *env.get("PYTHONPATH", "").split(os.pathsep)]
  _finish(argv)


def _finish(argv):
  """Ends this process like the interpreter, without its slow clean-up."""
  code = 1
  try:
    sys.argv = argv
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)
    code = 0
  except SystemExit as end:
    code = end.code
    if isinstance(code, str):
      print(code, file=sys.stderr)
      code = 1
  except BaseException:
    traceback.print_exc()
  finally:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def wait(child, is_blocking):
  """The exit code of a process, or None while it runs."""
  found, status = os.waitpid(child, 0 if is_blocking else os.WNOHANG)
  return os.waitstatus_to_exitcode(status) if found else None


if __name__ == "__main__":
  for line in sys.stdin:
    asked = json.loads(line)
    if "wait" in asked:
      answer = wait(asked["wait"], asked["is_blocking"])
    else:
      answer = start(asked.pop("start"), **asked)
    print(json.dumps(answer), flush=True)
  os._exit(0)  # without a slow clean-up
