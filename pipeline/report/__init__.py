"""One self-contained page that tells a stranger what a run did."""

from mitds.pipeline.report.writer import ReportConfig, write_report

__all__ = ["ReportConfig", "write_report"]
