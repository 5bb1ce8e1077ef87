"""yt-dlp, fenced in: its connections are ours, and it loads no plugins and starts no downloaders."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import Any

from mitds.errors import SourceUnreachable
from mitds.pipeline.sources.connections import Connections, adapter_of
from mitds.weights.web import CHUNK

PROTOCOLS = frozenset(
    {
        "http",
        "https",
        "m3u8",
        "m3u8_native",
        "http_dash_segments",
        "http_dash_segments_generator",
        "ism",
        "f4m",
    }
)
"""What yt-dlp fetches by itself, through its request handler."""

MAX_PAGE = 64 << 20
"""Most bytes of a page, a playlist or a manifest, which yt-dlp holds in memory whole."""


def open_site(options: dict[str, Any], connections: Connections) -> Any:
    """Make a YoutubeDL all of whose requests go through `connections`.

    The one handler of requests is for http(s): no file://, ftp:// or data:, no web sockets, and no imitation
    of browsers by other libraries, whose connections could not be checked.
    """
    import yt_dlp
    from urllib3.util.retry import Retry
    from yt_dlp.globals import plugin_dirs
    from yt_dlp.networking._requests import RequestsHTTPAdapter, RequestsRH
    from yt_dlp.networking.exceptions import RequestError

    class FencedRH(RequestsRH):  # type: ignore[misc]
        def _create_instance(self, cookiejar: Any, legacy_ssl_support: bool | None = None) -> Any:
            session = super()._create_instance(cookiejar, legacy_ssl_support)
            context = self._make_sslcontext(legacy_ssl_support=legacy_ssl_support)
            adapter = adapter_of(RequestsHTTPAdapter, connections)
            for scheme in ("http://", "https://"):
                session.mount(scheme, adapter(ssl_context=context, max_retries=Retry(False)))
            return session

        def _send(self, request: Any) -> Any:
            try:
                response = super()._send(request)
            except SourceUnreachable as error:
                raise RequestError(error.what) from error
            response.read = partial(_read, response.read, RequestError)
            return response

    class Site(yt_dlp.YoutubeDL):  # type: ignore[misc]
        def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
            return super().build_request_director([FencedRH])

    plugin_dirs.value = []
    return Site(options)


def _read(
    read: Callable[[int], bytes], fault: Callable[[str], Exception], amount: int | None = None
) -> bytes:
    """Read so many bytes of an answer, or all of them up to `MAX_PAGE`."""
    if amount is not None:
        return read(amount)
    whole = io.BytesIO()
    while block := read(CHUNK):
        whole.write(block)
        if whole.tell() > MAX_PAGE:
            raise fault(f"the page has more than {MAX_PAGE} bytes")
    return whole.getvalue()
