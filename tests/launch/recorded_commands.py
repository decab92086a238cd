"""Programs of a cluster, replaced by ones that write down their arguments."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
FAKE = """#!{python}
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
name = pathlib.Path(sys.argv[0]).name
given = "" if sys.stdin.isatty() else sys.stdin.read()
with open(here / "calls.jsonl", "a") as file:
  print(json.dumps([name, *sys.argv[1:], given]), file=file)
# Each answer belongs to the first call that holds its words; used once.
path = here / "answers.json"
answers = json.loads(path.read_text())
for index, (words, output, code) in enumerate(answers):
  if all(any(w in a for a in [name, *sys.argv[1:]]) for w in words):
    del answers[index]
    path.write_text(json.dumps(answers))
    print(output)
    sys.exit(code)
"""


class Fakes:
  """A new directory of fake programs, to be put in front of PATH."""

  def __init__(self, directory: pathlib.Path, names):
    self.directory = directory
    directory.mkdir(parents=True)
    for name in names:
      path = directory / name
      path.write_text(FAKE.format(python=sys.executable))
      path.chmod(0o755)
    self.answer([])

  def answer(self, answers):
    """(words of the call, output, exit code) of calls to come."""
    (self.directory / "answers.json").write_text(json.dumps(answers))

  def run(self, *command, **settings):
    """Runs a command with the fakes; returns what it did."""
    path = f"{self.directory}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
      [str(word) for word in command],
      env=os.environ | {"PATH": path} | settings.pop("env", {}),
      cwd=ROOT,
      stdin=subprocess.DEVNULL,
      capture_output=True,
      text=True,
      timeout=60,
      **settings,
    )

  def calls(self):
    """[[program, argument, …], …] since the last time; what it was fed last."""
    path = self.directory / "calls.jsonl"
    if not path.exists():
      return []
    found = [json.loads(line) for line in path.read_text().splitlines()]
    path.unlink()
    return found
