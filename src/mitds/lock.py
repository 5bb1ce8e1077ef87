"""One run at a time: an output folder belongs to the run that writes to it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from mitds.errors import StorageFault, UsageError
from mitds.places import is_remote, remote
from mitds.store import storage_errors

LOCK = ".lock"
"""Name of the lock in an output folder."""


class Hold(Protocol):
    """The right to write to an output folder.

    Attributes:
        notice: What the user should know: whose folder was taken over; empty where nobody's.
    """

    notice: str

    def check(self) -> None:
        """Make sure that the right still stands; ask before anything is published.

        Raises:
            EnvironmentFault: Somebody else has taken the folder over.
        """


class _Held:
    """A lock of this machine's kernel: it lasts as long as the process, unless the whole folder goes."""

    notice = ""

    def __init__(self, path: Path, file: IO[str]) -> None:
        self._path, self._file = path, file

    def check(self) -> None:
        """Make sure that the folder is the one that was locked.

        Raises:
            StorageFault: It has vanished.
        """
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(self._file.fileno()), self._path.stat()):
                return
        raise StorageFault(
            "the output folder has vanished while a run wrote to it",
            where=str(self._path.parent),
            remedy="Run the same command again.",
        )


@contextmanager
def output_lock(out: Path, command: str) -> Iterator[Hold]:
    """Hold an output folder, made if missing, for the length of a run.

    On a file system the lock is the kernel's: it ends with the process, whatever ends the process. On object
    storage it is a lease (`mitds.lease`), renewed while the run lives.

    Args:
        out: The output folder.
        command: What the run does ("annotate"), for whoever is refused.

    Raises:
        UsageError: Another run holds the folder; the message says which.
        StorageFault: The folder cannot be written.
        EnvironmentFault: At the end, if a lease was lost on the way.
    """
    if is_remote(out):
        from mitds.lease import output_lease

        with output_lease(remote(out / LOCK), holder(command)) as lease:
            yield lease
        return
    with _locked(out, command) as file:
        yield _Held(out / LOCK, file)


@contextmanager
def _locked(out: Path, command: str) -> Iterator[IO[str]]:
    path = out / LOCK
    with storage_errors(path):
        out.mkdir(parents=True, exist_ok=True)
        file = _grasped(path)
    with file:
        try:
            with storage_errors(path):
                file.truncate(0)
                file.write(json.dumps(holder(command)) + "\n")
                file.flush()
            yield file
        finally:
            path.unlink(missing_ok=True)


def _grasped(path: Path) -> IO[str]:
    """Open the lock's file and hold it; one that its last holder removed meanwhile is no lock any more."""
    while True:
        file = path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                file.seek(0)
                raise refusal(str(path.parent), file.read()) from None
        except OSError as error:
            file.close()
            raise _no_locks(path, error) from error
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()


def _no_locks(path: Path, error: OSError) -> StorageFault:
    return StorageFault(
        f"files cannot be locked on this file system: {error.strerror}",
        where=str(path),
        remedy="Choose another --out; a network file system must be mounted with locks.",
    )


def holder(command: str) -> dict[str, str]:
    """Return what a lock tells of the run that holds it."""
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"command": command, "host": socket.gethostname(), "pid": str(os.getpid()), "started": started}


def refusal(out: str, text: str, remedy: str = "Wait until it ends, or choose another --out.") -> UsageError:
    """Return the error that tells a second run who holds the folder, from the text of the lock."""
    try:
        held = json.loads(text)
        who = f"mitds {held['command']}, process {held['pid']} on {held['host']}, since {held['started']}"
    except (ValueError, KeyError, TypeError):  # it was taken a moment ago and is not written yet
        who = "it has just begun"
    return UsageError(
        f"another run writes to this output: {who}",
        where=out,
        remedy=remedy,
    )
