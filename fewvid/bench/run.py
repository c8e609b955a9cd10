"""The run: the device's ceilings, then work by work ours and the peer's, a row as it is there.

All devices' work is done in child processes, one at a time, so that each has the device for itself.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fewvid.bench import rows, side
from fewvid.bench.cases import ENCODER, WORKS, Case
from fewvid.bench.sizes import Size
from fewvid.errors import UserError

PEERLESS = ("sampler",)  # works that transformers has not
PRODUCT, COPY = (Case("ceilings", name, "ms", 1, 0, 0) for name in ("product", "copy"))
NO_TORCH = "torch is not installed (requirements-parity.txt)"

Row = dict[str, Any]


class Run:
    """Times works and keeps what was found in `table`, which is ready for JSON at any time."""

    def __init__(
        self,
        size: Size,
        *,
        peer: str = "auto",
        runs: int | None = None,
        deadline: float | None = None,
        on_row: Callable[[Row], None] = lambda row: None,
        say: Callable[[str], None] = print,
    ) -> None:
        """peer: auto (where torch is installed), on or off. runs: of each case (None: enough).

        on_row is called for each row when it is there. Raises UserError for a peer that is wanted
        and not there.
        """
        found = importlib.util.find_spec("torch") is not None
        if peer == "on" and not found:
            raise UserError(
                "--peer on needs torch: pip install -r requirements-parity.txt, or use --peer off"
            )
        self._size, self._runs, self._deadline = size, runs, deadline
        self._on_row, self._say = on_row, say
        self._needed = peer == "on"
        self._why = "--peer off" if peer == "off" else NO_TORCH  # there is no peer
        self._with_peer = found and peer != "off"
        self._limits: rows.Ceilings | None = None
        self.table: dict[str, Any] = {"ours": None, "peer": None, "ceilings": None, "rows": []}
        self.left_out: list[str] = []

    def run(self, works: Iterable[str]) -> None:
        """Times each of these works, the ceilings before them."""
        self._ceilings()
        for work in works:
            self._work(work)

    def _ceilings(self) -> None:
        sides: dict[str, dict[str, rows.Found]] = {}
        sides["ours"], why = self._ask("ours", "ceilings", (PRODUCT, COPY))
        if self.table["ours"] is None:
            raise UserError(f"nothing can be timed here: {why or side.LATE}")
        if self._with_peer:
            sides["peer"], why = self._ask("peer", "ceilings", (PRODUCT, COPY))
            self._check_peer(why)
        self._limits = rows.ceilings(self._size, sides)
        if self._limits:
            self.table["ceilings"] = {
                "tflops": round(self._limits.flops / 1e12, 4),
                "gigabytes": round(self._limits.bytes / 1e9, 2),
                "of": self._limits.of,
                "found": sides,
            }

    def _check_peer(self, why: str) -> None:
        """Leaves the peer out where it cannot be compared: it is broken, or on another device."""
        about = self.table["peer"]
        if about and about["platform"] == self.table["ours"]["platform"]:
            return
        if about:
            why = f"it runs on {about['platform']}, fewvid on {self.table['ours']['platform']}"
        self._with_peer, self._why = False, why
        self.table["peer"] = None
        if self._needed:
            raise UserError(f"--peer on: the peer cannot be timed: {why}; use --peer off")
        self._say(f"no peer: {why}")

    def _work(self, work: str) -> None:
        cases = WORKS[work](self._size)
        theirs = self._with_peer and work not in PEERLESS
        ours, why = self._ask("ours", work, cases, None if theirs else self._rower(cases))
        if not theirs:
            self._miss(work, cases, ours, why)
            return
        before = [case for case in cases if "seconds" in ours.get(case.name, {})]
        row = self._rower(cases, ours)
        peer, why_not = self._ask("peer", work, before, row) if before else ({}, "")
        for case in before:
            if case.name not in peer:
                row(case, {"error": why_not})
        self._miss(work, cases, ours, why)

    def _miss(
        self, work: str, cases: Sequence[Case], ours: dict[str, rows.Found], why: str
    ) -> None:
        """Notes the cases that ours did not come to, or failed at."""
        for case in cases:
            found = ours.get(case.name, {"error": why})
            if "error" in found:
                self.left_out.append(f"{work}, {case.name}: {found['error']}")

    def _rower(
        self, cases: Sequence[Case], ours: dict[str, rows.Found] | None = None
    ) -> Callable[[Case, rows.Found], None]:
        """A function that makes a row of what a child found: of ours, or of the peer beside it."""
        encoder: dict[str, rows.Found] = {}

        def make(case: Case, found: rows.Found) -> None:
            if ours is None:
                if "error" in found:
                    return
                if case.name == ENCODER:
                    encoder["is"] = found
                made = rows.row(case, found, None, self._limits, encoder.get("is"))
            else:
                made = rows.row(case, ours[case.name], found, self._limits)
            self.table["rows"].append(made)
            self._on_row(made)

        return make

    def _ask(
        self,
        which: str,
        work: str,
        cases: Sequence[Case],
        on_case: Callable[[Case, rows.Found], None] | None = None,
    ) -> tuple[dict[str, rows.Found], str]:
        """{case: what was found}, and why there is no more where there is not."""
        by_name, why = {case.name: case for case in cases}, ""
        found: dict[str, rows.Found] = {}
        options: dict[str, Any] = {"runs": self._runs, "deadline": self._deadline}
        for said in side.ask(which, work, self._size, cases, **options):
            if "about" in said:
                self.table[which] = said["about"]
            elif "case" in said:
                name = said.pop("case")
                found[name] = said
                if on_case:
                    on_case(by_name[name], said)
            else:
                why = said["error"]
        return found, why

    def finish(self, **about: Any) -> dict[str, Any]:
        """The whole table with what else is known of the run."""
        ended = {"left_out": self.left_out, "no_peer": None if self.table["peer"] else self._why}
        return about | self.table | ended


def deadline(minutes: float | None) -> float | None:
    """When so many minutes are over, of time.monotonic()."""
    return None if minutes is None else time.monotonic() + 60 * minutes
