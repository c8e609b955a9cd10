"""The pages of the studies, by name."""

from fewvid.studies.reports import keep
from fewvid.studies.reports.report import Report

REPORTS: dict[str, Report] = {
    "keep": keep.REPORT,
}
