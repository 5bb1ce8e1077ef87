"""Links that point where a list has no business, and servers that mean harm."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import socket
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from mitds.errors import SourceUnreachable
from mitds.manifests.records import Rights
from mitds.pipeline.sources import Entry, FetchConfig, Fetched, fetch
from mitds.pipeline.sources.addresses import kind_of
from mitds.pipeline.sources.connections import Connections
from mitds.pipeline.sources.site import open_site
from mitds.weights import web
from tests.webserver import Answer, Site, serving

VIDEO = {"Content-Type": "video/mp4"}
DATA = bytes(range(256)) * 20
STRICT = FetchConfig(backoff_s=0.01, host_interval_s=0.0, read_s=5.0, attempts=1)
OPEN = FetchConfig(private_hosts=True, backoff_s=0.01, host_interval_s=0.0, read_s=5.0, attempts=1)
REFUSED = "address, which is refused unless fetch.private_hosts=true"


@pytest.fixture(autouse=True)
def _own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITDS_CACHE", str(tmp_path / "cache"))
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def got(url: str, folder: Path, config: FetchConfig = STRICT) -> Fetched:
    return fetch(Entry(1, url, Rights()), folder, config)


def refusal(url: str, folder: Path, config: FetchConfig = STRICT) -> str:
    with pytest.raises(SourceUnreachable) as caught:
        got(url, folder, config)
    assert list(folder.iterdir()) == []
    return caught.value.what


def port(site: Site) -> str:
    return site.url.rpartition(":")[2]


# ---- addresses


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "loopback"), ("127.255.255.254", "loopback"), ("::1", "loopback"),
        ("169.254.169.254", "link-local"), ("fe80::1", "link-local"), ("fe80::1%eth0", "link-local"),
        ("10.1.2.3", "private"), ("172.16.0.1", "private"), ("172.31.255.255", "private"),
        ("192.168.1.1", "private"), ("fd00:ec2::254", "private"), ("fec0::1", "private"),
        ("0.0.0.0", "unspecified"), ("0.1.2.3", "private"), ("::", "unspecified"),  # noqa: S104
        ("100.100.100.200", "special-purpose"), ("192.0.0.192", "cloud"), ("198.18.0.1", "private"),
        ("224.0.0.1", "multicast"), ("ff02::1", "multicast"), ("255.255.255.255", "private"),
        ("240.0.0.1", "private"), ("168.63.129.16", "cloud"),
        ("::ffff:127.0.0.1", "loopback"), ("::ffff:169.254.169.254", "link-local"),
        ("64:ff9b::a9fe:a9fe", "link-local"), ("2002:7f00:1::", "tunnel"), ("2001:0:4136:e378::", "tunnel"),
        ("::127.0.0.1", "reserved"),
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str, kind: str) -> None:
    assert kind in (kind_of(address) or "public")


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses(address: str) -> None:
    assert kind_of(address) is None


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "[::ffff:7f00:1]"],
)
def test_this_machine_is_refused_in_every_spelling_and_never_asked(
    site: Site, tmp_path: Path, host: str
) -> None:
    site.put("/a.mp4", Answer(body=DATA, headers=VIDEO))
    assert REFUSED in refusal(f"http://{host}:{port(site)}/a.mp4", tmp_path / "got")
    assert site.asked == []


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "224.0.0.1",
        "[fe80::1]",
        "[fd00::1]",
        "[::]",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_other_networks_are_refused_before_a_connection(
    tmp_path: Path, scheme: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connected(*args: object) -> None:
        raise AssertionError("connected")

    monkeypatch.setattr(Connections, "connect_to", connected)
    assert REFUSED in refusal(f"{scheme}://{host}/latest/meta-data/a.mp4", tmp_path / "got")


def test_what_is_allowed_is_fetched(site: Site, tmp_path: Path) -> None:
    url = site.put("/a.mp4", Answer(body=DATA, headers=VIDEO))
    assert got(url, tmp_path, OPEN).sha256 == hashlib.sha256(DATA).hexdigest()


Resolver = Callable[..., list[Any]]


def answering(*addresses: str) -> tuple[Resolver, list[str]]:
    """A resolver that gives another answer each time for names, and the true one for numbers."""
    asked: list[str] = []
    true = socket.getaddrinfo

    def resolve(host: str, port: Any, *args: Any, **options: Any) -> list[Any]:
        if host[-1].isdigit():
            return true(host, port, *args, **options)
        asked.append(host)
        address = addresses[min(len(asked), len(addresses)) - 1]
        return true(address, port, *args, **options)

    return resolve, asked


def test_names_that_lead_to_this_machine(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answering("127.0.0.1")[0])
    told = refusal(f"http://videos.example.com:{port(site)}/a.mp4", tmp_path / "got")
    assert told.startswith(f"videos.example.com is at 127.0.0.1, a loopback {REFUSED}")
    assert site.asked == []


def test_a_name_is_resolved_once_and_that_address_is_connected_to(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is public when it is checked and this machine when it is used gains nothing."""
    resolve, asked = answering("198.51.100.7", "127.0.0.1")
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr("mitds.pipeline.sources.addresses.kind_of", lambda address: None)
    tried: list[Any] = []

    def connect(address: Any, *args: Any, **options: Any) -> None:
        tried.append(address)
        raise OSError("unreachable")

    monkeypatch.setattr("urllib3.util.connection.create_connection", connect)
    refusal(f"http://videos.example.com:{port(site)}/a.mp4", tmp_path / "got")
    assert tried == [("198.51.100.7", int(port(site)))]
    assert asked == ["videos.example.com"]
    assert site.asked == []


@pytest.mark.parametrize("target", ["http://127.0.0.1:{port}/b.mp4", "http://2130706433:{port}/b.mp4"])
def test_redirects_are_checked_anew(
    site: Site, tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first host counts as public here; where it sends us does not."""
    first = answering("127.0.0.2")[0]
    monkeypatch.setattr(socket, "getaddrinfo", first)
    public = lambda address: None if address == "127.0.0.2" else kind_of(address)  # noqa: E731
    monkeypatch.setattr("mitds.pipeline.sources.addresses.kind_of", public)
    with serving_all() as outside:
        outside.put("/a.mp4", Answer(status=302, headers={"Location": target.format(port=port(site))}))
        told = refusal(f"http://videos.example.com:{port(outside)}/a.mp4", tmp_path / "got")
        assert REFUSED in told
        assert [path for _, path in outside.asked] == ["/a.mp4"]
    assert site.asked == []


@contextmanager
def serving_all() -> Iterator[Site]:
    """A site that answers on every address of this machine."""
    with pytest.MonkeyPatch.context() as patch:
        from tests import webserver

        plain = webserver.ThreadingHTTPServer
        patch.setattr(webserver, "ThreadingHTTPServer", lambda at, handler: plain(("", at[1]), handler))
        with serving() as site:
            yield site


@pytest.mark.parametrize("field", ["url", "redirect"])
def test_pages_lead_nowhere_else_either(
    site: Site, tmp_path: Path, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """yt-dlp's own requests and redirects go through the same check."""
    monkeypatch.setattr(socket, "getaddrinfo", answering("127.0.0.2")[0])
    public = lambda address: None if address == "127.0.0.2" else kind_of(address)  # noqa: E731
    monkeypatch.setattr("mitds.pipeline.sources.addresses.kind_of", public)
    with serving_all() as outside:
        there = f"{site.url}/secret.mp4"
        tag = f'<video src="{there if field == "url" else "/there.mp4"}"></video>'
        page = f"<html><head><title>t</title></head><body>{tag}</body></html>".encode()
        outside.put("/watch", Answer(body=page, headers={"Content-Type": "text/html"}))
        outside.put("/there.mp4", Answer(status=302, headers={"Location": there}))
        told = refusal(f"http://videos.example.com:{port(outside)}/watch", tmp_path / "got")
        assert REFUSED in told
        assert told.startswith("yt-dlp: ")
    assert site.asked == []


# ---- proxies


def test_a_proxy_of_the_users_is_used_wherever_it_is(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", site.url)
    monkeypatch.setenv("NO_PROXY", "")
    site.put("http://videos.invalid/a.mp4", Answer(body=DATA, headers=VIDEO))
    assert got("http://videos.invalid/a.mp4", tmp_path).bytes == len(DATA)


@pytest.mark.parametrize("host", ["169.254.169.254", "127.1", "localhost", "[::1]"])
def test_a_proxy_is_not_asked_for_what_is_refused(
    site: Site, tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", site.url)
    monkeypatch.setenv("NO_PROXY", "")
    assert REFUSED in refusal(f"http://{host}/a.mp4", tmp_path / "got")
    assert site.asked == []


# ---- lists of strangers


def test_local_files_can_be_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(DATA)
    closed = FetchConfig(local=False)
    for url in ("file:///etc/passwd", "/etc/passwd", str(tmp_path / "a.mp4"), "FILE:///etc/passwd"):
        assert "fetch.local=false" in refusal(url, tmp_path / "got", closed)
        assert "fetch.local" not in got_or_told(url, tmp_path / "got")


def got_or_told(url: str, folder: Path) -> str:
    try:
        return got(url, folder).sha256
    except SourceUnreachable as error:
        return error.what


@pytest.mark.parametrize(
    "url",
    [
        "local:///etc/passwd", "simplecache::file:///etc/passwd", "zip://a.mp4::http://127.0.0.1/a.zip",
        "ssh://host/etc/passwd", "ftp://127.0.0.1/a.mp4", "smb://host/share/a.mp4", "data:text/plain,x",
        "webhdfs://127.0.0.1/a.mp4", "dir:///etc/passwd", "LOCAL:///etc/passwd",
    ],
)  # fmt: skip
def test_file_systems_that_read_this_machine_or_any_host(tmp_path: Path, url: str) -> None:
    told = refusal(url, tmp_path / "got")
    assert any(words in told for words in ("not among the file systems", "one file system inside", "No such"))


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/stdin", "/proc"])
def test_devices_are_no_sources(tmp_path: Path, name: str) -> None:
    assert "not a regular file" in refusal(name, tmp_path / "got") or Path(name).is_dir()


# ---- servers that mean harm


@contextmanager
def dripping(head: bytes, drop: bytes, pause_s: float) -> Iterator[str]:
    """A server that begins an answer and lets bytes fall one by one, for ever."""
    stop, listening = Event(), socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listening:
            listening.settimeout(20.0)
            while not stop.is_set():
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                Thread(target=drip, args=(client,), daemon=True).start()

    def drip(client: socket.socket) -> None:
        with client:
            try:
                client.recv(65536)
                client.sendall(head)
                while not stop.wait(pause_s):
                    client.sendall(drop)
            except OSError:
                return

    Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/a.mp4"
    finally:
        stop.set()
        with socket.socket() as last:  # wakes the server, which then sees the end
            last.connect_ex(listening.getsockname() if listening.fileno() >= 0 else ("127.0.0.1", 1))


ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("head", [ANSWER, b"HTTP/1.1 200 OK\r\nX-Slow: "], ids=["body", "header"])
def test_a_server_that_trickles_meets_the_deadline(tmp_path: Path, head: bytes) -> None:
    config = FetchConfig(private_hosts=True, host_interval_s=0.0, read_s=5.0, attempts=1, timeout_s=0.4)
    with dripping(head, b"x", 0.05) as url:
        assert "longer than the whole download may" in refusal(url, tmp_path / "got", config)


@pytest.mark.timeout(20)
def test_a_server_that_is_far_too_slow_is_given_up_early(tmp_path: Path) -> None:
    config = FetchConfig(private_hosts=True, host_interval_s=0.0, read_s=0.3, attempts=1)
    with dripping(ANSWER, b"x", 0.05) as url:
        assert "fewer than 1000 bytes a second" in refusal(url, tmp_path / "got", config)


@pytest.mark.timeout(20)
def test_a_stream_without_end_or_length(tmp_path: Path) -> None:
    config = FetchConfig(private_hosts=True, host_interval_s=0.0, attempts=1, max_bytes=3 << 20)
    with dripping(ANSWER, bytes(1 << 20), 0.0) as url:
        assert "more than the 3145728 bytes allowed" in refusal(url, tmp_path / "got", config)


@pytest.mark.timeout(20)
def test_a_page_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mitds.pipeline.sources.site.MAX_PAGE", 2 << 20)
    head = ANSWER.replace(b"video/mp4", b"text/html") + b"<html><head><title>t</title></head><body>"
    with dripping(head, b" " * (1 << 20), 0.0) as url:
        assert "more than 2097152 bytes" in refusal(url.replace("a.mp4", "watch"), tmp_path / "got", OPEN)


def packed(size: int) -> bytes:
    return gzip.compress(bytes(size))


def test_packed_answers_are_unpacked_within_limits(site: Site, tmp_path: Path) -> None:
    headers = {**VIDEO, "Content-Encoding": "gzip"}
    url = site.put("/a.mp4", Answer(body=gzip.compress(DATA), headers=headers))
    assert got(url, tmp_path, OPEN).sha256 == hashlib.sha256(DATA).hexdigest()
    folder = tmp_path / "got"
    url = site.put("/b.mp4", Answer(body=packed(64 << 20), headers=headers))
    assert "unpacks to more than 100 times its size" in refusal(url, folder, OPEN)
    small = FetchConfig(private_hosts=True, host_interval_s=0.0, max_bytes=1000)
    url = site.put("/c.mp4", Answer(body=packed(2000), headers=headers))
    assert "more than the 1000 bytes" in refusal(url, folder, small)
    url = site.put("/d.mp4", Answer(body=gzip.compress(DATA)[:-30], headers=headers))
    assert "breaks off" in refusal(url, folder, OPEN)
    url = site.put("/e.mp4", Answer(body=b"no gzip at all", headers=headers))
    assert "packing is broken" in refusal(url, folder, OPEN)
    url = site.put("/f.mp4", Answer(body=b"x", headers={**VIDEO, "Content-Encoding": "br"}))
    assert "'br', which was not asked for" in refusal(url, folder, OPEN)


def test_unpacking_never_holds_more_than_a_block() -> None:
    blocks = list(web._unpacked([packed(15 << 20)]))
    assert max(map(len, blocks)) <= web.CHUNK
    assert sum(map(len, blocks)) == 15 << 20


def archives(folder: Path) -> Path:
    """A wheel and a source archive, each of which holds an honest video and bombs."""
    folder.mkdir()
    with zipfile.ZipFile(folder / "bomb-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("bomb/a.mp4", os.urandom(1000))
        wheel.writestr("bomb/big.mp4", bytes(64 << 20))
        wheel.writestr("bomb/inner.zip", packed(1 << 20))
    with tarfile.open(folder / "bomb-1.0.tar.gz", "w:gz", compresslevel=1) as sdist:
        for name, data in {"a.mp4": os.urandom(1000), "big.mp4": bytes(64 << 20), "b.mp4": b"b"}.items():
            info = tarfile.TarInfo(f"bomb-1.0/{name}")
            info.size = len(data)
            sdist.addfile(info, io.BytesIO(data))
    return folder


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(archives(tmp_path / "links")))


@pytest.mark.usefixtures("index")
def test_members_of_archives_that_expand_without_measure(tmp_path: Path) -> None:
    assert got("pypi://bomb==1.0/bomb/a.mp4", tmp_path / "a").bytes == 1000
    assert got("pypi://bomb==1.0/bomb-1.0/a.mp4", tmp_path / "a").bytes == 1000
    # What lies inside a member stays packed: nothing is unpacked twice.
    assert got("pypi://bomb==1.0/bomb/inner.zip", tmp_path / "a").bytes == len(packed(1 << 20))
    small = FetchConfig(max_bytes=999)
    for member in ("bomb/a.mp4", "bomb-1.0/a.mp4"):
        assert "more than the 999 bytes" in refusal(f"pypi://bomb==1.0/{member}", tmp_path / "got", small)
    late = FetchConfig(timeout_s=-1.0)
    assert "longer than the whole" in refusal("pypi://bomb==1.0/bomb/a.mp4", tmp_path / "got", late)


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize("member", ["bomb/big.mp4", "bomb-1.0/big.mp4", "bomb-1.0/b.mp4"])
def test_bombs_in_archives(tmp_path: Path, member: str) -> None:
    told = refusal(f"pypi://bomb==1.0/{member}", tmp_path / "got")
    assert "unpacks to more than 100 times its size" in told


# ---- yt-dlp, fenced in


def test_yt_dlp_has_one_way_out_and_no_plugins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with (
        Connections(private_hosts=False, deadline=time.monotonic() + 60) as connections,
        open_site({"quiet": True, "cachedir": False}, connections) as site,
    ):
        assert [handler.RH_NAME for handler in site._request_director.handlers.values()] == ["requests"]
        for url in ("file:///etc/passwd", "ftp://127.0.0.1/a", "data:text/plain,x", "ws://127.0.0.1/"):
            with pytest.raises(
                Exception, match=r"(?i)unsupported|disabled|unable to handle|WebSocket support"
            ):
                site.urlopen(url)
        from yt_dlp.globals import plugin_dirs, plugin_ies, plugin_pps

        assert (plugin_dirs.value, plugin_ies.value, plugin_pps.value) == ([], {}, {})
        for option in ("usenetrc", "cookiefile", "cookiesfrombrowser", "enable_file_urls", "postprocessors"):
            assert not site.params.get(option)
        assert list(site._pps["post_process"]) == []


def test_a_site_that_asks_for_a_program_is_refused(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import yt_dlp

    def info(*args: object, **options: object) -> dict[str, object]:
        return {"url": "rtmp://127.0.0.1/live", "title": "t", "ext": "mp4"}

    monkeypatch.setattr(yt_dlp.YoutubeDL, "extract_info", info)
    url = site.put("/watch", Answer(body=b"<html>", headers={"Content-Type": "text/html"}))
    assert "comes by rtmp, which needs a program" in refusal(url, tmp_path / "got", OPEN)
