"""The bytes between pool, worker and chart child: fixed headers and raw payloads, every size checked before it is used.

No pickle: what comes out of a process that ran a model's code is only ever read as numbers, text and pixels.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import struct
import time
from dataclasses import dataclass, field
from typing import Any

REQUEST = struct.Struct("<4sIII")  # magic, id, milliseconds allowed, bytes of code
REPLY = struct.Struct("<4sIBIIId")  # magic, id, status, bytes of meta, height, width, seconds
REQUEST_MAGIC, REPLY_MAGIC = b"jxq1", b"jxr1"
IMAGE, ERROR, HELLO, WORDS = 0, 1, 2, 3  # WORDS: an error in the words of the code itself, passed on unread
MAX_META = 1 << 16
CODE_KINDS = ("syntax", "exception", "memory", "too_large")
"""The kinds of errors that code may name as its own."""
PIPE_BYTES = 1 << 20  # the most that Linux grants any user


class WireError(Exception):
    """The other side is gone, or does not speak the protocol."""


class DeadlineError(Exception):
    """The other side did not answer in time."""


@dataclass(slots=True)
class Reply:
    """An answer: `status` is IMAGE, ERROR, HELLO or WORDS; `pixels` is uint8 RGB, row by row.

    `meta` is a dictionary, or JSON that is only passed on.
    """

    request: int
    status: int
    meta: dict[str, Any] | memoryview = field(default_factory=dict)
    height: int = 0
    width: int = 0
    seconds: float = 0.0
    pixels: bytearray | bytes | memoryview = b""


def widen(fd: int) -> None:
    """Lets a pipe hold a whole picture, so that its two ends take turns once and not a dozen times."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def read_exact(fd: int, size: int, deadline: float | None = None) -> bytearray:
    """Reads `size` bytes from `fd`; `deadline` is in seconds of time.monotonic().

    Raises:
      WireError: end of file first.
      DeadlineError: the deadline came first.
    """
    buffer = bytearray(size)
    read_into(fd, memoryview(buffer), deadline)
    return buffer


def read_into(fd: int, view: memoryview, deadline: float | None = None) -> None:
    """Fills `view`, of bytes, from `fd`; see `read_exact`."""
    size, done = len(view), 0
    poller = None
    if deadline is not None:
        poller = select.poll()
        poller.register(fd, select.POLLIN)
    while done < size:
        if poller is not None:
            left = deadline - time.monotonic()
            if left <= 0 or not poller.poll(left * 1000):
                raise DeadlineError(f"{done} of {size} bytes came in time")
        count = os.readv(fd, [view[done:]])
        if count == 0:
            raise WireError(f"end of file after {done} of {size} bytes")
        done += count


def write_all(fd: int, data: bytes | bytearray | memoryview, deadline: float | None = None) -> None:
    """Writes all of `data` to `fd`. With a deadline the descriptor must be non-blocking.

    Raises:
      WireError: nobody reads at the other end.
      DeadlineError: the deadline came first.
    """
    view = memoryview(data).cast("B")
    poller = None
    if deadline is not None:
        poller = select.poll()
        poller.register(fd, select.POLLOUT)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            left = (deadline or 0) - time.monotonic()
            if poller is None or left <= 0 or not poller.poll(left * 1000):
                raise DeadlineError(f"{len(view)} bytes could not be written in time") from None
        except BrokenPipeError as error:
            raise WireError(str(error)) from None


def pack_request(request: int, timeout_ms: int, code: bytes) -> bytes:
    """The bytes of a request."""
    return REQUEST.pack(REQUEST_MAGIC, request, timeout_ms, len(code)) + code


def write_reply(fd: int, reply: Reply) -> None:
    """Writes a reply; blocks until it is taken."""
    meta = json.dumps(reply.meta, ensure_ascii=True).encode() if isinstance(reply.meta, dict) else reply.meta
    if len(meta) > MAX_META:
        raise ValueError(f"the meta data has {len(meta)} bytes; the limit is {MAX_META}")
    header = REPLY.pack(REPLY_MAGIC, reply.request, reply.status, len(meta), reply.height, reply.width, reply.seconds)
    write_all(fd, header)
    write_all(fd, meta)
    write_all(fd, reply.pixels)


def read_header(fd: int, max_pixels: int, deadline: float | None = None) -> tuple[Reply, int]:
    """Reads the fixed part of a reply: one without meta data and pixels, and how many bytes of meta data follow.

    Raises:
      WireError: it is malformed, or claims more than `max_pixels` pixels.
      WireError, DeadlineError: see `read_exact`.
    """
    header = read_exact(fd, REPLY.size, deadline)
    magic, request, status, meta_size, height, width, seconds = REPLY.unpack(header)
    if magic != REPLY_MAGIC or status not in (IMAGE, ERROR, HELLO, WORDS) or meta_size > MAX_META:
        raise WireError("the answer is not a reply")
    if height * width > max_pixels or (status != IMAGE and height * width) or (status == IMAGE and not height * width):
        raise WireError(f"the answer claims {height} x {width} pixels; the limit is {max_pixels} in all")
    return Reply(request, status, {}, height, width, seconds), meta_size


def read_reply(fd: int, max_pixels: int, deadline: float | None = None) -> Reply:
    """Reads a reply and refuses one that is malformed or larger than `max_pixels`.

    Raises:
      WireError, DeadlineError: see `read_header`.
    """
    reply, meta_size = read_header(fd, max_pixels, deadline)
    meta = bytes(read_exact(fd, meta_size, deadline))
    if reply.status == WORDS:
        reply.meta = words(meta)
    elif meta:
        reply.meta = _parse(meta)
    reply.pixels = read_exact(fd, reply.height * reply.width * 3, deadline)
    return reply


def _parse(meta: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(meta)
    except (ValueError, RecursionError):
        raise WireError("the meta data is not JSON") from None
    if not isinstance(parsed, dict):
        raise WireError("the meta data is not an object")
    return parsed


def words(meta: bytes | memoryview) -> dict[str, str]:
    """What code says of its own failure: anything it likes, but not that it was this machine's fault."""
    try:
        said = _parse(bytes(meta))
    except WireError:
        return {"kind": "crashed", "text": "the code wrote into the pipe for its picture"}
    kind, text = said.get("kind"), said.get("text")
    return {
        "kind": kind if isinstance(kind, str) and kind in CODE_KINDS else "exception",
        "text": text[:1000] if isinstance(text, str) else "",
    }
