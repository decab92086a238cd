"""Refusals in the form of OpenAI's errors."""

from typing import Any


class Refused(Exception):
  """A request that gets no answer, and why."""

  def __init__(
    self,
    message: str,
    *,
    status: int = 400,
    param: str | None = None,
    code: str | None = None,
    retry_after: int = 0,
  ):
    """A refusal.

    Args:
      message: what was received, what was expected, what to do.
      status: of HTTP.
      param: the field at fault.
      code: a name that programs can read.
      retry_after: seconds; 0: it would be refused again.
    """
    super().__init__(message)
    self.status, self.param, self.code = status, param, code
    self.retry_after = retry_after

  @property
  def body(self) -> dict[str, Any]:
    """The error as JSON has it."""
    kinds = {
      401: "authentication_error",
      404: "not_found_error",
      429: "rate_limit_error",
    }
    default = "server_error" if self.status >= 500 else "invalid_request_error"
    return {
      "error": {
        # A message may quote half of a surrogate pair, which no JSON can hold.
        "message": str(self).encode(errors="backslashreplace").decode(),
        "type": kinds.get(self.status, default),
        "param": self.param,
        "code": self.code,
      }
    }
