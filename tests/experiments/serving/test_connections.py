"""Clients that are slow, too many, or gone."""

import contextlib
import json
import socket
import time

import httpx2
import pytest
from oracles import endpoints

BODY = json.dumps({"prompt": "word1 word2", "max_tokens": 10, "n": 8}).encode()
STREAM = BODY[:-1] + b', "stream": true}'


def head(length):
  return (
    "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\n"
    f"content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
  ).encode()


def connect(running):
  own = socket.create_connection(("127.0.0.1", running.port), timeout=20)
  return contextlib.closing(own)


def rest(connection):
  found = b""
  with contextlib.suppress(ConnectionError):
    while piece := connection.recv(4096):
      found += piece
  return found


@pytest.mark.parametrize(
  "sent", [b"", b"POST /v1/comp", b"GET / HTTP/1.1\r\nhost: "]
)
def test_a_request_that_does_not_come_is_not_awaited(running, sent):
  with connect(running) as connection:
    connection.sendall(sent)
    assert rest(connection) == b""


def test_a_head_that_dribbles_has_no_more_time(running):
  with connect(running) as connection:
    with contextlib.suppress(ConnectionError):
      for letter in b"GET /health HTTP/1.1 and so on for a long time":
        connection.send(bytes([letter]))
        time.sleep(0.1)
    assert rest(connection) == b""


def test_a_body_that_dribbles_is_refused(running):
  with connect(running) as connection:
    connection.sendall(head(1000) + b"{")
    found = rest(connection)
  assert b" 408 " in found and b'"error"' in found


def test_an_announced_body_that_is_too_large_is_not_read(running):
  with connect(running) as connection:
    connection.sendall(head(10**12))
    found = rest(connection)
  assert b" 413 " in found and b"connection: close" in found.lower()


@pytest.mark.parametrize("body", [BODY, STREAM])
@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_who_goes_frees_rows_and_queue(running, body, share):
  text = head(len(body)) + body
  for _ in range(3):
    with connect(running) as connection:
      connection.sendall(text[: int(share * len(text))])
  running.wait_until_idle()


def test_who_goes_in_the_middle_of_a_stream_does_too(running):
  for size in (1, 100, 500):
    with connect(running) as connection:
      connection.sendall(head(len(STREAM)) + STREAM)
      assert connection.recv(size)
  running.wait_until_idle()


def test_of_too_many_connections_those_that_wait_longest_are_closed(running):
  number = endpoints.LIMITS.max_connections
  with contextlib.ExitStack() as stack:
    own = [stack.enter_context(connect(running)) for _ in range(2 * number)]
    assert rest(own[0]) == b""
    # Who asks gets an answer, though all places were taken.
    own[-1].sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert b" 200 " in own[-1].recv(4096)
    assert httpx2.get(f"{running.url}/health").status_code == 200


def test_connections_that_answer_are_not_closed_for_others(running):
  number = endpoints.LIMITS.max_connections
  with contextlib.ExitStack() as stack:
    busy = [stack.enter_context(connect(running)) for _ in range(number)]
    for connection in busy:  # a body that is still to come
      connection.sendall(head(len(BODY)) + BODY[:1])
    time.sleep(0.1)
    late = stack.enter_context(connect(running))
    assert rest(late) == b""
    busy[0].sendall(BODY[1:])
    assert b" 200 " in busy[0].recv(4096)
  running.wait_until_idle()


def test_a_strange_head_is_refused(running):
  for text in (b"\x00\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 9000):
    with connect(running) as connection:
      with contextlib.suppress(ConnectionError):
        connection.sendall(text)
      assert b" 200 " not in rest(connection)
  assert httpx2.get(f"{running.url}/health").status_code == 200
