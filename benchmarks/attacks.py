r"""Does the server live while it is attacked, and who has to wait meanwhile?

  python -m benchmarks.attacks --workdir=runs/gsm8k-tiny [vanishing …]

Every attack that is named, or each if none is, runs against one server, while
another client asks an honest question again and again. Printed are the seconds
of the attack, the honest client's longest wait, and the server's memory after
it; then how long rows were in use that nobody waited for. An honest question
that fails ends the benchmark.
"""

import contextlib
import json
import random
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator

from absl import app, flags

from benchmarks import servers

_WORKDIR = flags.DEFINE_string("workdir", "runs/gsm8k-tiny", "A finished run.")
_SECONDS = flags.DEFINE_float("seconds", 20, "Of attacks that last.")
_CONNECTIONS = flags.DEFINE_integer("connections", 10_000, "Opened at once.")
_BYTES = flags.DEFINE_integer("bytes", 10**9, "Of the largest body.")

_HONEST = {"prompt": "Question: Ann has 2 pens.\nAnswer:\n", "max_tokens": 8}
_STREAM = {"stream": True, "n": 8, "max_tokens": 24} | {
  "prompt": "Question: Ann has 2 pens. She buys 3.\nAnswer:\n"
}


def main(argv: list[str]) -> None:
  """Attacks."""
  chosen = {name: ATTACKS[name] for name in argv[1:]} or ATTACKS
  _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
  resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
  with servers.running(f"--workdir={_WORKDIR.value}") as server:
    for name, attack in chosen.items():
      with _honest(server) as waits:
        started = time.monotonic()
        note = attack(server)
        seconds = time.monotonic() - started
      now, peak = server.megabytes()
      found = {
        "attack": name,
        "seconds": round(seconds, 1),
        "note": note,
        "honest_requests": len(waits),
        "longest_wait": round(max(waits), 2),
        "seconds_until_idle": round(server.seconds_until_idle(), 2),
        "megabytes": round(now),
        "most_megabytes": round(peak),
      }
      print(json.dumps(found), flush=True)


@contextlib.contextmanager
def _honest(server: servers.Server) -> Iterator[list[float]]:
  """Asks again and again, and notes the seconds of every answer."""
  waits: list[float] = []
  errors: list[Exception] = []
  is_over = threading.Event()

  def ask() -> None:
    try:
      while not is_over.is_set() or not waits:
        started = time.monotonic()
        # A connection of its own, as a client has that comes just now.
        with contextlib.closing(_patient(server)) as connection:
          status, answer = server.post(connection, _HONEST)
        if status != 200:
          raise RuntimeError(f"an honest question got {status}: {answer}")
        waits.append(time.monotonic() - started)
    except Exception as error:
      errors.append(error)

  thread = threading.Thread(target=ask)
  thread.start()
  try:
    yield waits
  finally:
    is_over.set()
    thread.join()
  if errors:
    raise errors[0]


def _patient(server: servers.Server):
  """A connection that is not turned away: of too many, some are."""
  for _ in range(200):
    connection = server.connect()
    try:
      connection.request("GET", "/health")
      connection.getresponse().read()
      return connection
    except (OSError, ConnectionError):
      connection.close()
      time.sleep(0.1)
    except Exception:
      connection.close()
      time.sleep(0.1)
  raise RuntimeError("no connection in 20 s")


def slow_heads(server: servers.Server) -> str:
  """Requests whose first lines come a byte a second."""
  return _slow(server, _head(10), 200)


def slow_bodies(server: servers.Server) -> str:
  """Requests whose bodies come a byte a second."""
  return _slow(server, b"", 200, before=_head(1000))


def _slow(
  server: servers.Server, text: bytes, number: int, before: bytes = b""
) -> str:
  own = [_open(server) for _ in range(number)]
  num_closed, ends = 0, time.monotonic() + _SECONDS.value
  for connection in own:
    connection.sendall(before)
  for i in range(10**6):
    if time.monotonic() > ends or num_closed == number:
      break
    for connection in own:
      with contextlib.suppress(OSError):
        connection.send(text[i : i + 1] or b" ")
    num_closed = sum(map(_is_closed, own))
    time.sleep(0.5)
  for connection in own:
    connection.close()
  return f"{num_closed} of {number} closed by the server"


def never_reading(server: servers.Server) -> str:
  """Streams that nobody reads."""
  own = [_open(server) for _ in range(100)]
  for connection in own:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    connection.sendall(_request(_STREAM | {"logprobs": 5}))
  time.sleep(_SECONDS.value)
  for connection in own:
    connection.close()
  return "100 streams"


def large_bodies(server: servers.Server) -> str:
  """Bodies of a gigabyte, announced and in chunks."""
  sent = []
  for length in (_BYTES.value, None):
    with contextlib.closing(_open(server)) as connection:
      connection.sendall(_head(length))
      piece, number = b"x" * 65536, 0
      with contextlib.suppress(OSError):
        while number < _BYTES.value:
          chunk = b"10000\r\n" + piece + b"\r\n"
          number += connection.send(piece if length else chunk)
      sent.append(number)
  return f"closed after {sent} bytes"


def long_prompts(server: servers.Server) -> str:
  """Prompts of a million tokens, and those that just pass the body's limit."""
  seen = []
  for prompt in ("pen " * 10**6, "pen " * 250_000, [5] * 10**6, [5] * 300_000):
    with contextlib.closing(server.connect()) as connection:
      with contextlib.suppress(OSError):
        status, _ = server.post(connection, {"prompt": prompt})
        seen.append(status)
  return f"status {seen}"


def broken_json(server: servers.Server) -> str:
  """Bodies that are no JSON, or deep, or hold broken Unicode."""
  rng = random.Random(0)
  good = json.dumps(_HONEST).encode()
  bodies = [b"[" * 10**6, b'{"a":' * 10**5, b'{"n": ' + b"9" * 10**6 + b"}"]
  bodies += [b'{"prompt": "\\ud800"}', b"\xff\xfe\x00", b'"\xed\xa0\x80"']
  bodies += [b'{"prompt": "' + b"\\u0000" * 10**5 + b'"}']
  for _ in range(400):
    body = bytearray(good)
    for _ in range(rng.randrange(1, 6)):
      body[rng.randrange(len(body))] = rng.randrange(256)
    bodies.append(bytes(body))
  seen: dict[int, int] = {}
  for body in bodies:
    status = _status(server, _head(len(body)) + body)
    seen[status] = seen.get(status, 0) + 1
  if set(seen) - {200, 400, 404}:
    raise RuntimeError(f"statuses {seen}")
  return f"statuses {seen}"


def strange_heads(server: servers.Server) -> str:
  """First lines and headers that are too long, too many, or none."""
  heads = [
    b"GET / HTTP/1.1\r\n" + b"a" * 10**6,
    b"GET /" + b"a" * 10**6 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 10**5 + b"\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"\x00" * 1000,
    b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1"
    b"\r\n\r\n",
    b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5"
    b"\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\nauthorization: \xff"
    b"\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nhost: evil\r\n\r\n",
    b"GET /%00%ff%2e%2e/ HTTP/1.1\r\nhost: localhost\r\n\r\n",
  ]
  seen = [_status(server, head) for head in heads]
  if any(status >= 500 for status in seen):
    raise RuntimeError(f"statuses {seen}")
  return f"statuses {seen}, 0 where it closed"


def many_connections(server: servers.Server) -> str:
  """More connections than a server has room for, and they stay."""
  own = []
  for _ in range(_CONNECTIONS.value):
    with contextlib.suppress(OSError):
      own.append(_open(server))
  num_left = len(own) - sum(map(_is_closed, own))
  for connection in own:
    connection.close()
  return f"{len(own)} opened, {num_left} left to wait"


def vanishing(server: servers.Server) -> str:
  """Clients that go at every byte of a request, and of its answer."""
  text = _request(_STREAM)
  for end in range(0, len(text) + 1, 3):
    with contextlib.closing(_open(server)) as connection:
      connection.sendall(text[:end])
  number = 0
  for size in (*range(1, 600, 40), *range(600, 12_000, 800)):
    for _ in range(2):
      with contextlib.closing(_open(server)) as connection:
        connection.sendall(text)
        found = b""
        while len(found) < size and b"[DONE]" not in found[-120:]:
          if not (piece := connection.recv(100)):
            break
          found += piece
        number += 1
  return f"{len(text) // 3 + 1} requests cut, {number} answers left"


def _head(length: int | None) -> bytes:
  sizes = "transfer-encoding: chunked"
  if length is not None:
    sizes = f"content-length: {length}"
  return (
    "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\n"
    f"content-type: application/json\r\n{sizes}\r\n\r\n"
  ).encode()


def _request(body: dict) -> bytes:
  content = json.dumps(body).encode()
  return _head(len(content)) + content


def _open(server: servers.Server) -> socket.socket:
  return socket.create_connection(("127.0.0.1", server.port), timeout=60)


def _status(server: servers.Server, text: bytes) -> int:
  """The status of an answer, 0 if the connection was closed without one."""
  with contextlib.closing(_open(server)) as connection:
    with contextlib.suppress(OSError):
      connection.sendall(text)
    try:
      found = connection.recv(100)
    except OSError:
      return 0
  return int(found.split()[1]) if found.startswith(b"HTTP/1.1 ") else 0


def _is_closed(connection: socket.socket) -> bool:
  connection.setblocking(False)
  try:
    return connection.recv(1 << 16) == b""
  except BlockingIOError:
    return False
  except OSError:
    return True
  finally:
    connection.setblocking(True)


ATTACKS: dict[str, Callable[[servers.Server], str]] = {
  attack.__name__: attack
  for attack in (
    slow_heads,
    slow_bodies,
    never_reading,
    large_bodies,
    long_prompts,
    broken_json,
    strange_heads,
    many_connections,
    vanishing,
  )
}


if __name__ == "__main__":
  app.run(main)
