"""The pages of the studies, by name."""

from fewvid.studies.reports import (
    adapter,
    amount,
    content,
    diversity,
    identity,
    keep,
    kind,
    samplers,
    strategies,
    tradeoff,
    transfer,
)
from fewvid.studies.reports.report import Report

REPORTS: dict[str, Report] = {
    "identity": identity.REPORT,
    "keep": keep.REPORT,
    "samplers": samplers.REPORT,
    "strategies": strategies.REPORT,
    "amount": amount.REPORT,
    "kind": kind.REPORT,
    "tradeoff": tradeoff.REPORT,
    "content": content.REPORT,
    "transfer": transfer.REPORT,
    "diversity": diversity.REPORT,
    "adapter": adapter.REPORT,
}
