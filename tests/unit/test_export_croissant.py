"""A folder of clips described in Croissant 1.1 is what mlcroissant reads back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mitds.errors import UsageError
from mitds.manifests.records import Provenance
from mitds.pipeline.export import export
from tests import factories

# Of the reader's own dependencies, which are none of ours.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")

mlc = pytest.importorskip("mlcroissant", reason="pip install mitds[dev] brings mlcroissant")

LONG = 52
OWN = ("croissant.json", "provenance.parquet")
PROVENANCE = Provenance(
    fetched_at="2026-01-02T03:04:05Z",
    notes=("licence stated by the source: CC BY",),
    tool="mitds 0.1.0",
    libraries={"av": "18.1.0"},
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What annotate leaves, described: two clips, one of them without licence and consent.

    The last one's sound is over 64 KiB: mlcroissant 1.1.1 takes a tar for a zip if an npz ends nearer to its end.
    """
    bare = factories.rights(licence=None, consent=None)
    folder = factories.write_run(
        tmp_path_factory.mktemp("croissant") / "run",
        factories.clip(0, frames=4, provenance=PROVENANCE, seals={"mp4": "ab" * 32}),
        factories.clip(1, frames=LONG, rights=bare, source_url="https://example.org/b?x=\"'"),
    )
    export([str(folder / "clips-*.tar")], "croissant", folder)
    return folder


@pytest.fixture(scope="module")
def told(run: Path) -> dict[str, Any]:
    return json.loads((run / "croissant.json").read_text())


@pytest.fixture
def dataset(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """mlcroissant's view of it, with a cache of its own: it keeps unpacked shards by their name alone."""
    from etils import epath
    from mlcroissant._src.operation_graph.operations import extract

    monkeypatch.setattr(extract, "EXTRACT_PATH", epath.Path(tmp_path))
    return mlc.Dataset(str(run / "croissant.json"))


def records(dataset: Any, name: str) -> list[dict[str, Any]]:
    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(v) for v in value]
        return value.decode() if isinstance(value, bytes) and name in ("clips", "provenance") else value

    return [{k.split("/")[1]: plain(v) for k, v in r.items()} for r in dataset.records(name)]


def test_it_is_valid_1_1_without_a_warning(dataset: Any) -> None:
    issues = dataset.metadata.ctx.issues
    assert (set(issues.errors), set(issues.warnings)) == (set(), set())
    assert dataset.metadata.ctx.conforms_to.value == "http://mlcommons.org/croissant/1.1"
    assert "http://mlcommons.org/croissant/RAI/1.0" in dataset.metadata.conforms_to


def test_the_table_of_clips_reads_back_typed(run: Path, dataset: Any) -> None:
    found = records(dataset, "clips")
    table = pq.read_table(run / "clips.parquet").to_pylist()
    assert found == [{k: row[k] for k in found[0]} for row in table]
    assert set(found[0]) == set(table[0])


def test_every_exported_clip_has_its_provenance(run: Path, dataset: Any) -> None:
    first, second = records(dataset, "provenance")
    assert first["source_url"] == "https://example.org/talk.mp4"
    assert (first["licence"], first["consent"]) == ("CC-BY-4.0", "broadcast")
    assert (first["fetched_at"], first["tool"]) == ("2026-01-02T03:04:05Z", "mitds 0.1.0")
    assert first["libraries"] == ["av=18.1.0"]
    assert first["weights"] == ["faces.yunet=" + "ab" * 32]
    assert first["seals"] == ["mp4=" + "ab" * 32]
    assert (second["licence"], second["consent"], second["fetched_at"]) == (None, None, None)
    assert second["shard"] == "clips-000000.tar"


def test_videos_come_out_of_the_shards_by_key(dataset: Any) -> None:
    found = {r["key"]: r["content"] for r in records(dataset, "videos")}
    assert found == {
        factories.clip(n).key.encode(): factories.mp4_bytes(frames) for n, frames in enumerate((4, LONG))
    }


def test_files_are_described_by_their_digests(run: Path, told: dict[str, Any]) -> None:
    files = {f["@id"]: f for f in told["distribution"] if f["@type"] == "cr:FileObject"}
    assert set(files) == {"clips-000000.tar", "clips.parquet", "provenance.parquet"}
    for name, file in files.items():
        data = (run / name).read_bytes()
        assert file["sha256"] == hashlib.sha256(data).hexdigest()
        assert file["contentSize"] == f"{len(data)} B"


def test_rights_and_people_are_stated(told: dict[str, Any]) -> None:
    first, second = told["license"]
    assert first == "https://spdx.org/licenses/CC-BY-4.0.html"
    assert second["name"].startswith("not stated for 1 of 2 clips")
    assert any("identifiable people" in text for text in told["rai:personalSensitiveInformation"])
    assert "Without a reference to consent: 1 of 2 clips." in told["rai:personalSensitiveInformation"]
    assert "mitds remove" in told["rai:dataReleaseMaintenancePlan"]
    used = [entity["prov:label"] for entity in told["prov:wasGeneratedBy"]["prov:used"]]
    assert "faces.yunet=" + "ab" * 32 in used


def test_elsewhere_it_stands_beside_links_and_says_the_same(run: Path, tmp_path: Path) -> None:
    done = export([str(run / "clips-*.tar")], "croissant", tmp_path / "out")
    assert done.paths == [tmp_path / "out" / "croissant.json"]
    for name in OWN:
        assert (tmp_path / "out" / name).read_bytes() == (run / name).read_bytes()
    assert (tmp_path / "out" / "clips-000000.tar").samefile(run / "clips-000000.tar")
    assert done.linked == sum((run / name).stat().st_size for name in ("clips-000000.tar", "clips.parquet"))
    assert done.written == sum((tmp_path / "out" / name).stat().st_size for name in OWN)


def test_a_description_by_another_hand_is_not_replaced(tmp_path: Path) -> None:
    folder = factories.write_run(tmp_path / "run", factories.clip(0, frames=2))
    (folder / "croissant.json").write_text('{"name": "mine"}')
    with pytest.raises(UsageError, match="did not write"):
        export([str(folder / "clips-*.tar")], "croissant", folder)
    assert (folder / "croissant.json").read_text() == '{"name": "mine"}'


def test_words_from_outside_stay_words(tmp_path: Path) -> None:
    odd = replace(factories.rights(), licence='x"}],\n<b>|`$(id)`')
    folder = factories.write_run(tmp_path / "run", factories.clip(0, frames=2, rights=odd))
    export([str(folder / "clips-*.tar")], "croissant", folder)
    (licence,) = json.loads((folder / "croissant.json").read_text())["license"]
    assert licence == {"@type": "sc:CreativeWork", "name": 'x"} , b $(id)'}


def test_shards_without_their_table_or_of_two_folders_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        factories.write_clips(tmp_path / name, factories.clip(0, frames=2))
    with pytest.raises(UsageError, match=r"no clips\.parquet"):
        export([str(tmp_path / "a" / "clips-*.tar")], "croissant", tmp_path / "out")
    with pytest.raises(UsageError, match="several folders"):
        export([str(tmp_path / "*" / "clips-*.tar")], "croissant", tmp_path / "out")
