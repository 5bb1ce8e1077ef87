"""The drivers of object storage (fsspec's), and what their errors mean."""

from __future__ import annotations

import errno
import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mitds.errors import MissingDependency, StorageFault, UsageError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}

_FOREIGN = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("aiohttp", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("google.auth.exceptions", "GoogleAuthError"),
)
"""Errors of the drivers that are no OSErrors; a driver that was never imported raised none."""

_PATIENCE = {"connect_timeout": 5, "read_timeout": 60, "retries": {"mode": "standard", "max_attempts": 4}}
"""Seconds to connect and between bytes, and tries of one request, of which botocore spaces the later ones."""


def driver(protocol: str) -> AbstractFileSystem:
    """Return the driver of a kind of storage; its listings are never remembered, for other processes write too.

    fsspec keeps one of a kind for each process; a forked one gets its own. Credentials and endpoints are the
    driver's own affair (AWS_PROFILE, AWS_ENDPOINT_URL, GOOGLE_APPLICATION_CREDENTIALS, FSSPEC_S3_...).

    Raises:
        MissingDependency: The driver is not installed.
        UsageError: There is no such kind of storage.
    """
    import fsspec

    options: dict[str, Any] = {} if protocol == "memory" else {"use_listings_cache": False}
    if _EXTRAS.get(protocol) == "s3":
        options["config_kwargs"] = _PATIENCE
    try:
        return fsspec.filesystem(protocol, **options)
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        remedy = f"pip install 'mitds[{extra}]'." if extra else "Install the package it names."
        what = f"{protocol}:// needs a driver that cannot be imported: {error}"
        raise MissingDependency(what, remedy=remedy) from error
    except ValueError as error:
        raise UsageError(f"there is no storage of the kind {protocol}://", remedy="Check the URL.") from error


def version_of(protocol: str, url: str) -> str:
    """Return what changes whenever an object does: S3's own mark, elsewhere the digest of its bytes."""
    with answers(url):
        if _EXTRAS.get(protocol) == "s3":
            return str(driver(protocol).info(url)["ETag"])
        return hashlib.sha256(driver(protocol).cat_file(url)).hexdigest()


def put_if(protocol: str, url: str, data: bytes, version: str | None) -> str | None:
    """Put an object only where it has a version, or where there is none yet (None).

    That there is none is checked by the storage itself; so is the version on S3. Elsewhere the version is
    compared here, just before the object is put.

    Returns:
        The new version; None where the condition does not hold, and nothing is changed.
    """
    on_s3, options = _EXTRAS.get(protocol) == "s3", dict[str, Any]()
    if version is None:
        options["mode"] = "create"
    elif on_s3:
        options["IfMatch"] = version
    try:
        with answers(url, putting=version is None):
            if version is not None and not on_s3 and version_of(protocol, url) != version:
                return None
            answer = driver(protocol).pipe_file(url, data, **options)
            return str(answer["ETag"]) if on_s3 else hashlib.sha256(data).hexdigest()
    except (FileExistsError, FileNotFoundError):
        return None
    except StorageFault as error:
        if _code(error) in ("PreconditionFailed", "ConditionalRequestConflict"):
            return None
        raise


def _code(error: StorageFault) -> str:
    """Return S3's own name of what caused a fault."""
    response = getattr(error.__cause__ and error.__cause__.__cause__, "response", None)
    return str(response["Error"].get("Code", "")) if isinstance(response, dict) else ""


@contextmanager
def answers(url: str, *, putting: bool = False) -> Iterator[None]:
    """Turn what a driver raises into a `StorageFault`; an object that is not there stays a FileNotFoundError.

    Where an object is put, what is not there is its bucket. Drivers try again themselves, a bounded number of
    times; what comes here is final.
    """
    try:
        yield
    except FileExistsError:
        raise
    except FileNotFoundError as error:
        if putting or "bucket does not exist" in str(error):
            raise StorageFault(
                "there is no such bucket", where=url, remedy="Make it, or check the URL."
            ) from error
        raise FileNotFoundError(errno.ENOENT, "no such object", url) from error
    except _errors() as error:
        what, remedy = _meaning(error)
        raise StorageFault(what, where=url, remedy=remedy) from error


def _errors() -> tuple[type[BaseException], ...]:
    foreign = (getattr(sys.modules[module], name) for module, name in _FOREIGN if module in sys.modules)
    return (OSError, *foreign)


def _meaning(error: BaseException) -> tuple[str, str]:
    """Say what happened, and what helps."""
    text = str(error).strip() or type(error).__name__
    if isinstance(error, PermissionError) or text.startswith("Forbidden"):
        return f"the storage refuses access: {text}", "Check the credentials and what they may do."
    if any(word in f"{type(error).__name__} {text}".lower() for word in ("credential", "token", "profile")):
        return (
            f"there are no credentials for the storage: {text}",
            "Give them as its driver expects (AWS_PROFILE, ...).",
        )
    remedy = "Check the network and the storage, then run the same command again."
    return f"the storage does not answer as it should: {text}", remedy
