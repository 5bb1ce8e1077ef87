"""The connections of one fetch: to public hosts only, to the address that was checked, and none past its deadline."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from threading import Lock, Timer
from typing import TYPE_CHECKING, Any, Self

from mitds.errors import SourceUnreachable
from mitds.pipeline.sources.addresses import check_public, resolved
from mitds.weights.web import TOO_LONG

if TYPE_CHECKING:
    import requests


_MOST = 32
"""Connections of one fetch; an older one is not in use any more."""


class Connections:
    """Makes connections while it is open, and cuts them off when the deadline comes.

    A name is resolved once, all its addresses are checked, and the connection goes to one of them: a name
    that changes its address in between gains nothing. Redirects connect anew, and are checked anew. A proxy
    that the user configured is connected to wherever it is; the hosts asked of it are checked as far as this
    machine can resolve them.

    Args:
        private_hosts: True to allow hosts that are not on the public internet.
        deadline: When to cut off, on time.monotonic's clock.
    """

    def __init__(self, *, private_hosts: bool, deadline: float) -> None:
        self._private_hosts, self._deadline = private_hosts, deadline
        self._held: list[socket.socket] = []
        self._lock = Lock()
        self._timer = Timer(max(0.0, deadline - time.monotonic()), self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._cut()

    def _cut(self) -> None:
        with self._lock:
            held, self._held = self._held, []
        for made in held:
            _end(made)

    def past(self) -> bool:
        """Tell whether the deadline has come."""
        return time.monotonic() >= self._deadline

    def connect(self, host: str, port: int, timeout: Any, options: Any) -> socket.socket:
        """Connect to a host that may be asked."""
        addresses = resolved(host, port)
        if not self._private_hosts:
            check_public(host, addresses)
        return self.connect_to(addresses, port, timeout, options)

    def connect_to(self, addresses: list[str], port: int, timeout: Any, options: Any) -> socket.socket:
        """Connect to the first address that answers."""
        from urllib3.util.connection import create_connection

        fault = OSError("the name has no address")
        for address in addresses:
            if self.past():
                raise SourceUnreachable(TOO_LONG)
            try:
                made = create_connection((address, port), timeout, socket_options=options)
            except OSError as error:
                fault = error
                continue
            self._hold(made.dup())  # TLS takes the socket itself away
            return made
        raise fault

    def _hold(self, made: socket.socket) -> None:
        with self._lock:
            self._held.append(made)
            oldest = self._held.pop(0) if len(self._held) > _MOST else None
        if oldest is not None:
            _end(oldest)

    def check_named(self, host: str, port: int) -> None:
        """Check a host that a proxy will be asked for, as far as this machine knows its address."""
        if self._private_hosts:
            return
        try:
            addresses = resolved(host, port)
        except OSError:
            return  # behind a proxy there may be no names; what the proxy reaches is its own rule
        check_public(host, addresses)

    def session(self) -> requests.Session:
        """Make a session that connects through here."""
        import requests

        session = requests.Session()
        adapter = adapter_of(requests.adapters.HTTPAdapter, self)()
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        return session


def _end(made: socket.socket) -> None:
    """End a connection for all who hold it, even for one that waits for bytes at this moment."""
    with made, suppress(OSError):  # ended by the other side
        made.shutdown(socket.SHUT_RDWR)


def adapter_of(base: type[requests.adapters.HTTPAdapter], connections: Connections) -> Any:
    """Derive an adapter that connects through `connections` from one of requests or one derived from it."""
    import requests
    from urllib3.util import parse_url

    class Adapter(base):  # type: ignore[valid-type, misc]
        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, **options)
            self.poolmanager.pool_classes_by_scheme = _pools(connections.connect)

        def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
            manager = super().proxy_manager_for(proxy, **options)
            if not proxy.lower().startswith("socks"):
                manager.pool_classes_by_scheme = _pools(_to_proxy(connections))
            return manager

        def send(self, request: Any, *args: Any, proxies: Any = None, **options: Any) -> Any:
            # By attribute, because yt-dlp puts its own rules of proxies there.
            if requests.adapters.select_proxy(request.url, proxies):  # type: ignore[attr-defined]
                url = parse_url(request.url)
                connections.check_named((url.host or "").strip("[]"), url.port or 0)
            return super().send(request, *args, proxies=proxies, **options)

    return Adapter


def _to_proxy(connections: Connections) -> Any:
    def connect(host: str, port: int, timeout: Any, options: Any) -> socket.socket:
        return connections.connect_to(resolved(host, port), port, timeout, options)

    return connect


def _pools(connect: Any) -> dict[str, Any]:
    """Return urllib3's pools by scheme, with connections whose sockets `connect` makes."""
    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.connection import HTTPConnection, HTTPSConnection

    class Connecting(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            made: socket.socket = connect(self.host, self.port, self.timeout, self.socket_options)
            return made

    class ConnectingSafely(Connecting, HTTPSConnection):
        pass

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connecting

    class SafePool(HTTPSConnectionPool):
        ConnectionCls = ConnectingSafely

    return {"http": Pool, "https": SafePool}
