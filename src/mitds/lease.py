"""A lease on an output on object storage, where no kernel can hold a lock: an object that its holder keeps renewing."""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from mitds.drivers import answers, driver, put_if
from mitds.errors import EnvironmentFault, StorageFault
from mitds.lock import refusal
from mitds.remote import RemotePath

_TAKEN = "another run has taken this output over"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTimes:
    """Seconds of a lease's life.

    Attributes:
        renew_s: Between renewals.
        stale_s: Without a renewal, after which the holder counts as dead.
        watch_s: For which whoever takes over watches a stale lease first: clocks of machines differ, a renewal
            does not.
    """

    renew_s: float = 30.0
    stale_s: float = 300.0
    watch_s: float = 45.0


class Lease:
    """The right to write to an output; made by `output_lease`.

    Attributes:
        notice: What the user should know: whose output was taken over; empty where nobody's.
    """

    def __init__(self, path: RemotePath, holder: Mapping[str, str], times: LeaseTimes) -> None:
        self._path, self._times = path, times
        self._text = {**holder, "token": secrets.token_hex(8)}
        self._renewals, self._renewed_at, self._lost = 0, time.monotonic(), ""
        self._ended = threading.Event()
        self.notice = ""
        self._version = self._put(None) or self._taken_over()
        self._thread = threading.Thread(target=self._renew, name="output lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Make sure that the lease still stands, by asking the storage.

        Raises:
            EnvironmentFault: Another run has taken the output over, or might have.
        """
        if not self._lost and not self._is_mine():
            self._lost = _TAKEN
        if not self._lost and time.monotonic() - self._renewed_at > self._times.stale_s:
            self._lost = "the right to write to this output could not be renewed in time"
        if self._lost:
            raise EnvironmentFault(
                self._lost,
                where=str(self._path.parent),
                remedy="Run the same command again once it has ended.",
            )

    def release(self) -> None:
        """Stop renewing, and give the output free if it is still held."""
        self._ended.set()
        self._thread.join()
        if not self._lost and self._is_mine():
            self._path.unlink(missing_ok=True)

    def _put(self, version: str | None) -> str | None:
        """Put the lease's object where it has a version; return the new one, None where another run holds it.

        Who put it is read back: a request that was repeated may find itself refused by its own first answer, and
        storage that knows no conditions would have replaced the lease of another.
        """
        data = json.dumps({**self._text, "renewals": self._renewals}) + "\n"
        put = put_if(self._path.protocol, str(self._path), data.encode(), version)
        if not self._is_mine():
            return None
        return put or self._path.version()

    def _is_mine(self) -> bool:
        try:
            return bool(json.loads(self._path.read_bytes()).get("token") == self._text["token"])
        except FileNotFoundError:
            return False

    def _taken_over(self) -> str:
        """Take the lease of a run that is dead, or refuse for one that lives."""
        held = ""
        with contextlib.suppress(FileNotFoundError):  # it ends this very moment
            held, version = self._path.read_text(), self._path.version()
            if self._is_dead(version) and (taken := self._put(version)):
                self.notice = f"took over from a run that has gone silent: {held.strip()}"
                return taken
        minutes = f"{self._times.stale_s / 60:g} minutes"
        remedy = f"Wait until it ends, or, where it was killed, {minutes}; or choose another --out."
        raise refusal(str(self._path.parent), held, remedy)

    def _is_dead(self, version: str) -> bool:
        with answers(str(self._path)):
            put_at = driver(self._path.protocol).modified(str(self._path)).timestamp()
        if time.time() - put_at <= self._times.stale_s:
            return False
        time.sleep(self._times.watch_s)
        return self._path.version() == version

    def _renew(self) -> None:
        """Renew until the end; storage that does not answer for a while is no loss yet."""
        while not self._ended.wait(self._times.renew_s) and not self._lost:
            self._renewals += 1
            with contextlib.suppress(StorageFault):
                if version := self._put(self._version):
                    self._version, self._renewed_at = version, time.monotonic()
                else:
                    self._lost = _TAKEN


@contextmanager
def output_lease(
    path: RemotePath, holder: Mapping[str, str], times: LeaseTimes = LeaseTimes()
) -> Iterator[Lease]:
    """Hold an output by the lease at `path`; see `mitds.lock.output_lock`.

    Raises:
        UsageError: Another run holds it and renews.
        EnvironmentFault: At the end, if the lease was lost on the way.
    """
    lease = Lease(path, holder, times)
    try:
        yield lease
        lease.check()
    finally:
        with contextlib.suppress(StorageFault):
            lease.release()
