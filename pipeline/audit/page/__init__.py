"""Audits to read: a section of the report, and the page of published accuracy."""

from mitds.pipeline.audit.page.runs import Run, parse_run
from mitds.pipeline.audit.page.section import Section, section, tables
from mitds.pipeline.audit.page.writer import write_page

__all__ = ["Run", "Section", "parse_run", "section", "tables", "write_page"]
