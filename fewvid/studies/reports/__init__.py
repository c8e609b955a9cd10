"""The pages of the studies, by name."""

from fewvid.studies.reports import (
    amount,
    identity,
    keep,
    kind,
    samplers,
    strategies,
)
from fewvid.studies.reports.report import Report

REPORTS: dict[str, Report] = {
    "identity": identity.REPORT,
    "keep": keep.REPORT,
    "samplers": samplers.REPORT,
    "strategies": strategies.REPORT,
    "amount": amount.REPORT,
    "kind": kind.REPORT,
}
