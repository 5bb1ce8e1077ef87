"""The pieces of a Croissant 1.1 description: context, files, record sets, and responsible-AI statements."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from mitds.pipeline.export.provenance import Summary
from mitds.pipeline.export.rights_words import (
    COLLECTION,
    LIMITS,
    PERSONAL,
    USES,
    WITHDRAWAL,
    licence_counts,
    plain_line,
    spdx_url,
)

Json = dict[str, Any]

_CR_TERMS = (
    *(
        "arrayShape",
        "citeAs",
        "column",
        "containedIn",
        "equivalentProperty",
        "extract",
        "field",
        "fileObject",
    ),
    *("fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5"),
    *("parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate"),
    *("separator", "source", "subField", "transform"),
)
CONTEXT: Json = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{term: f"cr:{term}" for term in _CR_TERMS},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}
"""The terms of the specification's first appendix, and W3C PROV-O, which 1.1 recommends for provenance."""

_TOOL = "mitds export --format croissant"
_EQUIVALENT = {
    "source_url": "prov:wasDerivedFrom",
    "tool": "prov:wasAttributedTo",
    "licence": "sc:license",
}


def file_object(name: str, kind: str, size: int, sha256: str) -> Json:
    """Describe one file of the folder."""
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{size} B",
        "encodingFormat": kind,
        "sha256": sha256,
    }


def file_set(name: str, shards: Sequence[str], includes: str, kind: str, about: str) -> Json:
    """Describe the members of one kind in all shards."""
    return {
        "@type": "cr:FileSet",
        "@id": f"{name}-files",
        "name": f"{name}-files",
        "description": about,
        "containedIn": [{"@id": shard} for shard in shards],
        "encodingFormat": kind,
        "includes": includes,
    }


def record_set(name: str, about: str, fields: Sequence[Json]) -> Json:
    """Describe one kind of record; its first field is its key."""
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": about,
        "key": {"@id": fields[0]["@id"]},
        "field": list(fields),
    }


def field(name: str, kind: str, about: str = "", **more: Any) -> Json:
    """Describe one field of a record set; its identifier is "SET/NAME"."""
    told = {"description": about} if about else {}
    return {"@type": "cr:Field", "@id": name, "name": name, **told, "dataType": kind, **more}


def column_fields(
    table: str,
    file: str,
    schema: pa.Schema,
    descriptions: Mapping[str, str],
    references: Mapping[str, str] = {},
) -> list[Json]:
    """Describe every column of a parquet file, with its type; lists are arrays of one dimension."""
    fields = []
    for column in schema:
        more: Json = {"source": {"fileObject": {"@id": file}, "extract": {"column": column.name}}}
        if pa.types.is_list(column.type):
            more |= {"isArray": True, "arrayShape": "-1"}
        if column.name in references:
            more["references"] = {"field": {"@id": references[column.name]}}
        if column.name in _EQUIVALENT:
            more["equivalentProperty"] = _EQUIVALENT[column.name]
        about = descriptions.get(column.name, "")
        fields.append(field(f"{table}/{column.name}", _kind(column.type), about, **more))
    return fields


def _kind(type: pa.DataType) -> str:
    if pa.types.is_list(type):
        return _kind(type.value_type)
    if pa.types.is_boolean(type):
        return "sc:Boolean"
    if pa.types.is_integer(type):
        return "cr:Int64"
    return "cr:Float64" if pa.types.is_floating(type) else "sc:Text"


def licences(summary: Summary) -> list[str | Json]:
    """Return the licences of all clips: an address where it has one, else its words with the number of clips."""
    found: list[str | Json] = []
    for name in sorted(name for name in summary.licences if name is not None):
        found.append(spdx_url(name) or {"@type": "sc:CreativeWork", "name": plain_line(name)})
    if missing := summary.licences[None]:
        words = f"not stated for {missing} of {summary.clips} clips: ask before use"
        found.append({"@type": "sc:CreativeWork", "name": words})
    return found


def responsibility(summary: Summary) -> Json:
    """Return what the RAI vocabulary asks for, and the run as an activity of PROV-O."""
    counts = "; ".join(f"{name}: {n}" for name, n in licence_counts(summary))
    consent = f"Without a reference to consent: {summary.without_consent} of {summary.clips} clips."
    timeframe = {"rai:dataCollectionTimeframe": list(summary.fetched)} if summary.fetched else {}
    return {
        "rai:dataCollection": COLLECTION,
        "rai:dataCollectionType": ["Web Scraping", "Others"],
        **timeframe,
        "rai:machineAnnotationTools": [*sorted(summary.tools), *sorted(summary.models)],
        "rai:personalSensitiveInformation": [*PERSONAL, consent],
        "rai:dataReleaseMaintenancePlan": WITHDRAWAL,
        "rai:dataLimitations": [*LIMITS, f"Clips by licence: {counts}."],
        "rai:dataUseCases": [USES],
        "prov:wasGeneratedBy": {
            "@type": "prov:Activity",
            "prov:label": _TOOL,
            "prov:wasAssociatedWith": [
                {"@type": "prov:SoftwareAgent", "prov:label": tool}
                for tool in [*sorted(summary.tools), *sorted(summary.libraries)]
            ],
            "prov:used": [
                {"@type": "prov:Entity", "prov:label": label}
                for label in [*sorted(summary.models), *sorted(summary.weights)]
            ],
        },
    }


def is_ours(path: Path) -> bool:
    """Tell whether a description was written here, so that it may be replaced."""
    try:
        told = json.loads(path.read_bytes())
        return bool(told["prov:wasGeneratedBy"]["prov:label"] == _TOOL)
    except (OSError, ValueError, KeyError, TypeError):
        return False
