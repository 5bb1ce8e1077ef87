"""Templates in, static files out: everything escaped, nothing inline that a page could be made to run."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from mitds.benchmark.site import plots, wording
from mitds.config import canonical
from mitds.errors import UsageError
from mitds.store import atomic_open, atomic_path, write_bytes

POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'"
"""Content security: own files only, no inline script or style, whatever a submission calls itself."""


def environment(package: str = __package__) -> jinja2.Environment:
    """Return the templates of a package, the site's shared ones behind them; a missing value is an error."""
    loaders = [_loader(name) for name in dict.fromkeys((package, __package__))]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"policy": POLICY, "plots": plots, "wording": wording}
    environment.filters |= {"fixed": wording.fixed, "percent": wording.percent, "span": wording.span}
    return environment


def _loader(package: str) -> jinja2.BaseLoader:
    texts = {
        file.name: file.read_text("utf-8") for file in files(package).iterdir() if file.name.endswith(".html")
    }
    return jinja2.DictLoader(texts)


def write_html(path: Path, template: jinja2.Template, **content: Any) -> Path:
    """Write a page; it appears only when complete."""
    with atomic_open(path) as file:
        for piece in template.generate(**content):
            file.write(piece.encode())
    return path


def json_for_script(value: Any) -> Markup:
    """Return JSON that can stand inside a script element: nothing in it can end the element or be read as HTML."""
    return htmlsafe_json_dumps(value, dumps=canonical)


def publish(folder: Path, *names: str, package: str = __package__) -> None:
    """Write a package's style sheets and scripts into a folder."""
    for name in names:
        write_bytes(folder / name, files(package).joinpath(name).read_bytes())


def copy_in(source: Path, folder: Path, name: str) -> str:
    """Bring a file under a page's folder and return its address relative to the folder.

    Args:
        source: The file; one that lies under the folder already stays where it is.
        folder: Where the page lies.
        name: Relative path to copy to, of safe characters.

    Raises:
        UsageError: If there is no such file.
    """
    if not source.is_file():
        raise UsageError("a video to be shown is not there", where=str(source), remedy="Correct the path.")
    if source.resolve().is_relative_to(folder.resolve()):
        return quote(source.resolve().relative_to(folder.resolve()).as_posix())
    with atomic_path(folder / name) as temporary:
        shutil.copyfile(source, temporary)
    return quote(name)
