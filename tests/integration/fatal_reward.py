"""A reward whose process is killed while it grades, as for want of memory."""

import os
import pathlib
import signal

# The folder that knows at which calls, and how many there were.
FOLDER = "FATAL_REWARD"


def favourite(prediction: str, answer: str) -> float:
  """1 for a text with the token 5; a call of a listed number never returns."""
  del answer
  folder = pathlib.Path(os.environ[FOLDER])
  # Unbuffered: the place in the file after its own byte is a call's number,
  # and no other worker's, as appending is atomic.
  with (folder / "calls").open("ab", buffering=0) as file:
    file.write(b".")
    number = file.tell()
  if (folder / f"kill-{number}").exists():
    os.kill(os.getpid(), signal.SIGKILL)
  return float("5" in prediction.split())


def cursed(prediction: str, answer: str) -> float:
  """The same, but one text is fatal every time."""
  if prediction == (pathlib.Path(os.environ[FOLDER]) / "curse").read_text():
    os.kill(os.getpid(), signal.SIGKILL)
  return favourite(prediction, answer)
