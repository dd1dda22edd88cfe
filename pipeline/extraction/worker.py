"""The process that parses documents which might kill it: one after another, within limits, from pipe to pipe.

It is started by workers.Extractor with an empty environment, and may neither write a file nor outlive its limits.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys
import threading
import time
from contextlib import suppress
from typing import BinaryIO

from pipeline.domain import Failure, Reason
from pipeline.extraction.reading import extract
from pipeline.extraction.values import Bounds, Text, to_json

REQUEST = struct.Struct(">IQ")  # bytes of the name, bytes of the document
REPLY = struct.Struct(">Q")
_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG (linux/prctl.h)
PARALLEL = 2  # CPU seconds in one second; by this limit even a worker that nobody watches any more ends


def main(parent: int, seconds: float, memory_bytes: int, output_bytes: int, unpacked_bytes: int) -> None:
    """Read requests and write replies until there are no more, or no parent any more, whose process id that is."""
    _die_with(parent)
    bounds = Bounds(seconds, memory_bytes, output_bytes, unpacked_bytes)
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a parser prints must not come between the replies
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_AS, memory_bytes)
    while head := requests.read(REQUEST.size):
        name_bytes, content_bytes = REQUEST.unpack(head)
        _limit_cpu(seconds)
        _reply(replies, _read(requests, name_bytes, content_bytes, bounds))


def _read(requests: BinaryIO, name_bytes: int, content_bytes: int, bounds: Bounds) -> Text | Failure:
    try:
        name = requests.read(name_bytes).decode("utf-8", "replace")
        return _bounded(extract(requests.read(content_bytes), name, bounds), bounds)
    except MemoryError:
        return Failure(Reason.EXCEEDED, f"reading it takes more than {bounds.memory_bytes} bytes of memory")
    except RecursionError:
        return Failure(Reason.DAMAGED, "nested more deeply than any document is")
    except Exception as error:  # noqa: BLE001 - whatever a parser raises costs this one document
        return Failure(Reason.CRASHED, f"the parser failed: {type(error).__name__}")


def _bounded(found: Text | Failure, bounds: Bounds) -> Text | Failure:
    if isinstance(found, Text) and len(found.content.encode()) > bounds.output_bytes:
        return Failure(Reason.EXCEEDED, f"its text is more than {bounds.output_bytes} bytes")
    return found


def _reply(replies: BinaryIO, found: Text | Failure) -> None:
    content = to_json(found)
    replies.write(REPLY.pack(len(content)) + content)
    replies.flush()


def _die_with(parent: int) -> None:
    """After a kill -9 of the parent, nobody else ends what is being parsed before its limits do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it was gone before it could be told
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)  # nothing but Linux tells a process of its parent's end
    os._exit(1)


def _limit(which: int, most: int) -> None:
    with suppress(ValueError, OSError):  # a system that does not know the limit, or has a lower one
        resource.setrlimit(which, (most, most))


def _limit_cpu(seconds: float) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + PARALLEL * seconds) + 1
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))
