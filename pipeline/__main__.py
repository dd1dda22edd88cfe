"""The way in: one line on Ctrl-C from the first moment, and one line for every error that is ours."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

INTERRUPTED = 130


def main() -> None:
    """Run a command; end with 0, 1 (a step failed), 2 (wrong settings), 3 (above the budget) or 130 (Ctrl-C)."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)  # loading the libraries takes a second or two, with nothing to clean up yet
    from pipeline.cli.commands import app
    from pipeline.errors import DocbatchError

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)  # a plain kill cleans up as Ctrl-C does
    code: object = 0
    try:
        app()  # wrong options end with 2 and Ctrl-C with 130 in there
    except SystemExit as ended:
        code = ended.code
    except DocbatchError as error:
        _say(f"docbatch: {error}")
        code = error.exit_code
    except OSError as error:
        _say(f"docbatch: {error.filename or 'the output'}: {error.strerror}; make room or choose another place")
        code = 1
    _end(code)


def _end(code: object) -> None:
    """Leave without taking the interpreter apart: threads of pyarrow aborted 3 of 14 commands that had succeeded."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code if isinstance(code, int) else int(bool(code)))


def _leave(_number: int, _frame: object) -> None:
    os.write(2, b"docbatch: interrupted before anything was begun\n")  # print may be what was interrupted
    os._exit(INTERRUPTED)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
