"""A reward whose process is killed while it grades, as for want of memory."""

import hashlib
import os
import pathlib
import signal

# The folder that knows from which calls on, and how many there were.
FOLDER = "FATAL_REWARD"


def favourite(prediction: str, answer: str) -> float:
  """1 for a text with the token 5; where one is to die, it never returns."""
  folder = pathlib.Path(os.environ[FOLDER])
  # Unbuffered: the place in the file after its own byte is a call's number,
  # and no other worker's, as appending is atomic.
  with (folder / "calls").open("ab", buffering=0) as file:
    file.write(b".")
    number = file.tell()
  if _is_to_die(folder, number, f"{prediction}\n{answer}"):
    os.kill(os.getpid(), signal.SIGKILL)
  return float("5" in prediction.split())


def _is_to_die(folder: pathlib.Path, number: int, text: str) -> bool:
  """Whether a place up to this call is still due, and the text to die there.

  None dies twice, which would be its own fault: while a worker starts again
  the other may come just to the next place. That waits for another text.
  """
  mark = folder / f"killed-{hashlib.sha256(text.encode()).hexdigest()}"
  if mark.exists():
    return False
  for place in folder.glob("kill-*"):
    if int(place.name.removeprefix("kill-")) <= number:
      try:
        place.unlink()
      except FileNotFoundError:  # the other worker's
        continue
      mark.touch()
      return True
  return False


def cursed(prediction: str, answer: str) -> float:
  """The same, but one text is fatal every time."""
  if prediction == (pathlib.Path(os.environ[FOLDER]) / "curse").read_text():
    os.kill(os.getpid(), signal.SIGKILL)
  return favourite(prediction, answer)
