"""The one error that means "the input is wrong", not "the code is wrong"."""


class InputError(ValueError):
  """Bad input from a user: one line saying what was got, expected, to do.

  Entry points print the line and exit with code 2; library callers catch it as
  a ValueError.
  """


class Preempted(Exception):
  """The machine is wanted back; all that was done is saved."""
