"""What a disk says when it is full or not to be written, in one line."""

import errno
import os

_GO_ON = "run the same command again to go on"
# What each fault asks for. Libraries in C++ and Rust have only its text.
_ADVICE = {
  errno.ENOSPC: "free some space",
  errno.EDQUOT: "free some space",
  errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
  errno.EROFS: "make it writable",
  errno.EACCES: "make it readable and writable for this user",
  errno.EPERM: "make it readable and writable for this user",
  errno.EIO: "look after the disk",
  errno.ESTALE: "mount the file system again",
}
_ALWAYS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def refusal(error: BaseException) -> str | None:
  """The line for an error that a disk is behind; None for any other."""
  seen: set[int] = set()
  found: BaseException | None = error
  while found is not None and id(found) not in seen:
    seen.add(id(found))
    if code := _code(found):
      where = getattr(found, "filename", None)
      place = f"{where}: " if where else ""
      return f"{place}{os.strerror(code)}; {_ADVICE[code]}, then {_GO_ON}"
    found = found.__cause__ or found.__context__
  return None


def _code(error: BaseException) -> int | None:
  """The number of a storage fault."""
  if isinstance(error, OSError) and error.errno in _ADVICE:
    return error.errno
  text = str(error)
  return next((code for code in _ALWAYS if os.strerror(code) in text), None)
