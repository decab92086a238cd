"""Runs the command once for each line of stdin, in forks of one process.

Importing takes seconds, a wrong flag milliseconds. A line is a JSON list of
flags; the answer is a JSON object with the exit code and what was said.
"""

import json
import os
import sys
import tempfile
import traceback

import transformers

from experiments import gsm8k
from experiments.harness import console
from experiments.harness import run as run_lib

# Loaded at their first use otherwise, so in every fork anew.
LAZY = (run_lib, transformers.AutoTokenizer, transformers.Qwen2Config)


def run(flags):
  """One command, in a process of its own; nothing of jax runs before it."""
  with tempfile.TemporaryFile() as said:
    child = os.fork()
    if not child:
      os.dup2(said.fileno(), 1)
      os.dup2(said.fileno(), 2)
      sys.argv = ["gsm8k", *flags]
      _finish()
    _, status = os.waitpid(child, 0)
    said.seek(0)
    text = said.read().decode()
  return {"code": os.waitstatus_to_exitcode(status), "said": text}


def _finish():
  """Ends this process like the interpreter, without its slow clean-up."""
  code = 1
  try:
    console.run(gsm8k.main)
  except SystemExit as end:
    code = end.code or 0
  except BaseException:
    traceback.print_exc()
  finally:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
  for line in sys.stdin:
    print(json.dumps(run(json.loads(line))), flush=True)
