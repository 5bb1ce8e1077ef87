"""The resolver: folders, cache, mirrors in order, and what it says when nothing helps."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mitds import weights
from mitds.errors import MissingWeights, StorageFault, UnknownName
from mitds.weights import Weight, derived, digests, resolve
from mitds.weights.cache import cached_file
from tests.webserver import Answer, Site

DATA = b"some weights\n" * 50
SHA = hashlib.sha256(DATA).hexdigest()
WRONG = b"OTHER weight\n" * 50


@pytest.fixture(autouse=True)
def _empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITDS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MITDS_WEIGHTS", "")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


Known = Callable[..., Weight]


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Known:
    """Make a catalog of one weight with the given mirrors."""

    def make(*mirrors: str, kind: str = "pinned") -> Weight:
        pinned = {"bytes": len(DATA), "sha256": SHA, "mirrors": mirrors} if kind == "pinned" else {}
        weight = Weight(
            name="nets.small",
            file="small.onnx",
            licence="MIT",
            origin="a test",
            kind=kind,
            source="a shop",
            **pinned,
        )
        for module in ("mitds.weights.catalog", "mitds.weights.resolver"):
            # By sys.modules: as an attribute of the package, "catalog" is the function.
            monkeypatch.setattr(sys.modules[module], "catalog", lambda: {weight.name: weight})
        return weight

    return make


def files_in(folder: Path) -> list[str]:
    """All files but locks."""
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock")


def test_catalog_is_complete_and_unambiguous() -> None:
    known = weights.catalog()
    assert {"faces.yunet", "asd.lr_asd", "asd.light_asd", "pose.rtmw", "media.statement"} <= known.keys()
    assert len({weight.file for weight in known.values()}) == len(known)
    for weight in known.values():
        assert weight.licence
        assert weight.origin
        if weight.kind == "pinned":
            assert len(weight.sha256 or "") == 64
            assert weight.bytes
            assert weight.mirrors
        else:
            assert "https://" in weight.source
            assert not weight.mirrors


def test_unknown_name_lists_near_ones() -> None:
    with pytest.raises(UnknownName, match=r"faces\.yunet"):
        resolve("faces.yunett")


def test_folder_comes_first_and_wrong_bytes_are_passed_over(
    known: Known, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known()
    for folder, data in (("bad", WRONG), ("good", DATA)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "small.onnx").write_bytes(data)
    monkeypatch.setenv("MITDS_WEIGHTS", f"{tmp_path / 'bad'}{os.pathsep}{tmp_path / 'good'}")
    assert resolve("nets.small") == tmp_path / "good" / "small.onnx"
    assert not (tmp_path / "cache").exists()


def test_a_file_that_changes_is_hashed_again(
    known: Known, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known()
    path = tmp_path / "small.onnx"
    path.write_bytes(DATA)
    monkeypatch.setenv("MITDS_WEIGHTS", str(tmp_path))
    assert resolve("nets.small") == path
    path.write_bytes(WRONG)
    os.utime(path, ns=(0, 0))
    with pytest.raises(MissingWeights, match="wrong bytes"):
        resolve("nets.small")


def test_mirrors_in_order_then_cache(known: Known, site: Site, tmp_path: Path) -> None:
    url = site.put("/w.onnx", Answer(body=DATA))
    weight = known((tmp_path / "nowhere.onnx").as_uri(), site.put("/wrong", Answer(body=WRONG)), url)
    assert resolve("nets.small") == cached_file(weight)
    assert cached_file(weight).read_bytes() == DATA
    assert [path for _, path in site.asked] == ["/wrong", "/w.onnx"]
    resolve("nets.small")
    assert len(site.asked) == 2


def test_every_mirror_is_told_with_its_reason_and_the_remedy(
    known: Known, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.setenv("MITDS_WEIGHTS", str(tmp_path))
    (tmp_path / "small.onnx").write_bytes(b"short")
    known(
        site.put("/gone", Answer(status=404)).replace("://", "://me:s3cret@"),
        site.put("/wrong", Answer(body=WRONG)),
        site.put("/long", Answer(body=DATA + b"!")),
        site.put("/away", Answer(status=302, headers={"Location": "file:///etc/hostname"})),
        "hf://owner/name@main/small.onnx",
        "gopher://old/small.onnx",
    )
    with pytest.raises(MissingWeights) as caught:
        resolve("nets.small")
    told = caught.value.what
    reasons = ("has 5 bytes", "404 Not Found", "wrong bytes", "more than the 650 bytes", "not http", "gopher")
    for reason in (*reasons, "package 'huggingface_hub'", "hf://owner/name@main/small.onnx"):
        assert reason in told
    assert "s3cret" not in told
    assert SHA in caught.value.remedy
    assert "small.onnx" in caught.value.remedy
    assert files_in(tmp_path / "cache") == []


def test_hub_mirror(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def download(local_dir: str, **names: str) -> str:
        asked.update(names)
        path = Path(local_dir) / "small.onnx"
        path.write_bytes(DATA)
        return str(path)

    hub = types.SimpleNamespace(hf_hub_download=download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    errors = types.SimpleNamespace(httpx=types.SimpleNamespace(HTTPError=ConnectionError))
    monkeypatch.setitem(sys.modules, "huggingface_hub.utils", errors)
    weight = known("hf://owner/name@v1/deep/small.onnx")
    assert resolve("nets.small") == cached_file(weight)
    assert asked == {"repo_id": "owner/name", "revision": "v1", "filename": "deep/small.onnx"}
    assert files_in(cached_file(weight).parent) == ["small.onnx"]


def test_a_broken_cache_file_is_fetched_again(known: Known, site: Site) -> None:
    weight = known(site.put("/w", Answer(body=DATA)))
    cached_file(weight).parent.mkdir(parents=True)
    cached_file(weight).write_bytes(WRONG)
    (cached_file(weight).parent / ".tmp-of-a-killed-process").write_bytes(DATA[:7])
    assert resolve("nets.small").read_bytes() == DATA
    assert files_in(cached_file(weight).parent) == [weight.file]


def test_an_interrupted_download_leaves_nothing(known: Known, site: Site, tmp_path: Path) -> None:
    known(site.put("/w", Answer(body=DATA, short=100)))
    with pytest.raises(MissingWeights, match="no connection"):
        resolve("nets.small")

    def stop(what: str, done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    known(site.put("/v", Answer(body=DATA)))
    with pytest.raises(KeyboardInterrupt):
        resolve("nets.small", stop)
    assert files_in(tmp_path / "cache") == []


def test_progress_is_told_to_the_last_byte(known: Known, site: Site) -> None:
    told = []
    known(site.put("/w", Answer(body=DATA)))
    resolve("nets.small", lambda *event: told.append(event))
    assert told[-1] == ("nets.small", len(DATA), len(DATA))


def test_parallel_resolves_fetch_once(known: Known, site: Site) -> None:
    weight = known(site.put("/w", Answer(body=DATA, delay_s=0.1)))
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: resolve("nets.small"), range(8)))
    assert paths == {cached_file(weight)}
    assert len(site.asked) == 1


def test_weights_that_users_bring(known: Known, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known(kind="user")
    with pytest.raises(MissingWeights, match=r"a shop, call it small\.onnx"):
        resolve("nets.small")
    (tmp_path / "small.onnx").write_bytes(DATA)
    monkeypatch.setenv("MITDS_WEIGHTS", str(tmp_path))
    assert resolve("nets.small") == tmp_path / "small.onnx"
    assert digests(["nets.small"]) == {"nets.small": SHA}


def test_digests_of_pinned_weights_need_no_file(known: Known) -> None:
    known()
    assert digests(["nets.small"]) == {"nets.small": SHA}


def test_pull_verify_status_and_table(known: Known, site: Site, tmp_path: Path) -> None:
    weight = known(site.put("/w", Answer(status=404), Answer(body=DATA)))
    assert [s.state for s in weights.status()] == ["absent"]
    (failed,) = weights.pull()
    assert failed.state == "failed"
    assert "404" in failed.detail
    assert [s.state for s in weights.pull(["nets.small"])] == ["ready"]
    assert [s.state for s in weights.verify()] == ["ready"]
    cached_file(weight).write_bytes(WRONG)
    (wrong,) = weights.verify(["nets.small"])
    assert (wrong.state, wrong.path) == ("wrong", cached_file(weight))
    (row,) = weights.weights_table()
    assert (row["name"], row["licence"], row["sha256"]) == ("nets.small", "MIT", SHA)


def test_a_cache_that_cannot_be_made_says_what_to_set(
    known: Known, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known()

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StorageFault, match="MITDS_CACHE"):
        resolve("nets.small")


def test_derived_is_built_once_by_many_processes(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from mitds.weights import derived
def build(path):
    with open(sys.argv[1], "a") as log: log.write("built ")
    time.sleep(0.2)
    path.write_bytes(b"onnx")
print(derived("net.a/b", "f" * 64, 1, build))
"""
    log = tmp_path / "log"
    command = [sys.executable, "-c", code, str(log)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    paths = {process.communicate()[0].strip() for process in running}
    assert log.read_text() == "built "
    (path,) = paths
    assert Path(path).read_bytes() == b"onnx"
    assert Path(path).parent == tmp_path / "cache" / "derived"


def test_derived_depends_on_source_and_version_and_fails_clean(tmp_path: Path) -> None:
    paths = {
        derived("net", sha, version, lambda path: path.write_bytes(b"x") and None)
        for sha, version in (("a", 1), ("b", 1), ("a", 2))
    }
    assert len(paths) == 3

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("export broke")

    with pytest.raises(RuntimeError, match="export broke"):
        derived("other", "a", 1, fail)
    assert not [name for name in files_in(tmp_path / "cache") if "other" in name]


def test_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    assert weights.cache_root().name == "cache"
    monkeypatch.delenv("MITDS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert weights.cache_root() == Path("/xdg/mitds")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert weights.cache_root() == Path.home() / "Library" / "Caches" / "mitds"


def test_import_is_light() -> None:
    code = (
        "import sys, mitds.weights\n"
        "heavy = {'requests', 'rich', 'yt_dlp', 'numpy', 'torch', 'huggingface_hub'} & set(sys.modules)\n"
        "sys.exit(' '.join(heavy) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
