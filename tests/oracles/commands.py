"""Commands of this project, run without importing everything each time.

A process of the test run has one server (oracles/command_server.py), whose
forks they are. What is about starting Python itself uses subprocess.
"""

import atexit
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[2]


def environment(*folders, as_users=False):
  """Ours, without a network; modules are found in `folders` too.

  Args:
    *folders: of modules that the command is told to load.
    as_users: compiles well, as outside of tests, and with all threads.
  """
  own = dict(os.environ)
  if as_users:
    own.pop("XLA_FLAGS", None)
  path = os.pathsep.join(map(str, (*folders, ROOT)))
  return own | {
    "JAX_PLATFORMS": "cpu",
    "HF_HUB_OFFLINE": "1",
    "PYTHONPATH": path,
  }


class Process:
  """A command that runs, to be treated like a `subprocess.Popen`.

  Attributes:
    pid: of the process.
    returncode: None as long as it is not known to have ended.
  """

  def __init__(self, pid, folder):
    self.pid, self.returncode, self._folder = pid, None, folder

  def poll(self):
    return self._wait(is_blocking=False)

  def wait(self):
    return self._wait(is_blocking=True)

  def send_signal(self, number):
    os.kill(self.pid, number)

  def said(self):
    """What it has written to stdout and stderr."""
    folder = pathlib.Path(self._folder.name)
    return [(folder / name).read_text() for name in ("stdout", "stderr")]

  def _wait(self, is_blocking):
    if self.returncode is None:
      asked = {"wait": self.pid, "is_blocking": is_blocking}
      self.returncode = _ask(asked)
    return self.returncode


def start(module, *flags, cwd=ROOT, env=None):
  """`python -m MODULE FLAGS` in the background."""
  folder = tempfile.TemporaryDirectory()
  pid = _ask(
    {
      "start": [module, *map(str, flags)],
      "cwd": str(cwd),
      "env": env or environment(),
      "stdout": f"{folder.name}/stdout",
      "stderr": f"{folder.name}/stderr",
    }
  )
  return Process(pid, folder)


def run(module, *flags, cwd=ROOT, env=None):
  """`python -m MODULE FLAGS`, as `subprocess.run` with its output as text."""
  process = start(module, *flags, cwd=cwd, env=env)
  code = process.wait()
  return subprocess.CompletedProcess([module, *flags], code, *process.said())


def finish(module, *flags, cwd=ROOT, env=None):
  """The same, which must succeed."""
  done = run(module, *flags, cwd=cwd, env=env)
  assert done.returncode == 0, done.stderr
  return done


def _ask(what):
  server = _server()
  print(json.dumps(what), file=server.stdin, flush=True)
  return json.loads(server.stdout.readline())


@functools.cache
def _server():
  """The server of this process, started at its first command."""
  server = subprocess.Popen(
    [sys.executable, pathlib.Path(__file__).with_name("command_server.py")],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL,
    cwd=ROOT,
    env=environment(),
    text=True,
  )

  def end():
    server.stdin.close()
    server.wait()

  atexit.register(end)
  return server
