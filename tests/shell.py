"""Somebody at a shell: types docbatch's commands in a folder with blanks in its name, without any AWS setting."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.loaded_shell import Forked, LoadedShell

DOCBATCH = Path(sys.executable).with_name("docbatch")
PATIENCE_SECONDS = 120
DOCUMENTS = 36  # times three analyses is more than the hundred records that a job must have


@dataclass(frozen=True)
class User:
    """Somebody at a shell in `folder`."""

    folder: Path
    home: Path
    shell: LoadedShell

    @property
    def environment(self) -> dict[str, str]:
        return own_environment() | {"DOCBATCH_HOME": str(self.home), "COLUMNS": "80"}

    def types(self, line: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """`docbatch` with the words of a line, to its end."""
        return self.start(line, **variables).finish()

    def start(self, line: str, **variables: str) -> Running:
        """In a fork of a process that has loaded docbatch."""
        return Running(self.shell.start(shlex.split(line), self.folder, self.environment | variables))

    def start_anew(self, line: str) -> Running:
        """The installed script, in a process of its own."""
        pipe, command = subprocess.PIPE, [str(DOCBATCH), *shlex.split(line)]
        return Running(
            subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=pipe,
                stderr=pipe,
                text=True,
                encoding="utf-8",
            )
        )

    def listing(self) -> dict[str, int]:
        """Every file in the folder, with its time of change."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.stat().st_mtime_ns for path in files}


@dataclass(frozen=True)
class Running:
    """A command that goes on."""

    program: subprocess.Popen[str] | Forked

    def finish(self) -> subprocess.CompletedProcess[str]:
        out, err = self.program.communicate(timeout=PATIENCE_SECONDS)
        return subprocess.CompletedProcess(self.program.args, self.program.returncode, out, err)

    def read_until(self, words: str) -> str:
        """Lines of stderr up to the one with these words."""
        assert self.program.stderr
        seen = ""
        for line in self.program.stderr:
            seen += line
            if words in line:
                return seen
        pytest.fail(f"never said {words!r}:\n{seen}")


def own_environment() -> dict[str, str]:
    """This process's, without settings for AWS or docbatch."""
    return {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "DOCBATCH_"))}


def new_user(folder: Path, shell: LoadedShell) -> User:
    """A user with documents about deliveries, and no stack yet."""
    here = folder / "a folder with blanks"
    put_documents(here, "Delivery")
    return User(here, folder / "a home with blanks", shell)


def put_documents(folder: Path, subject: str) -> None:
    """DOCUMENTS texts in `my documents` below the folder."""
    (folder / "my documents").mkdir(parents=True)
    for number in range(DOCUMENTS):
        text = f"{subject} number {number} came late, but the kettle is excellent."
        (folder / "my documents" / f"{subject.lower()} {number}.txt").write_text(text, "utf-8")
