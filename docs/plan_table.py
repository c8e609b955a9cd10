"""Writes the table of docs/pods.md from what `plan --json` wrote:

  python docs/plan_table.py runs/plans/*.json

Each file is a row a stage; of stages that are the same in several configs (align of s3_iv and of
s4_v) the first counts. The table stands between two lines of the page that say so.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "pods.md"
BEGIN, END = "<!-- plans: begin -->", "<!-- plans: end -->"
GIB = 2**30
HEAD = (
    "| config | stage | slice | rows | memory a chip, GiB | operations, PFLOP | sent by each, GiB "
    "| step, s: best, apart | MFU | videos or pictures a day | chip-hours of the stage |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|"
)


def rows(plans: list[dict[str, Any]]) -> list[str]:
    """The lines of all files, of one model and slice after the other."""
    found: dict[tuple[str, ...], str] = {}
    for plan in plans:
        for stage in plan["stages"]:
            key = (_size(plan), plan["topology"], stage["stage"], _reads(stage))
            found.setdefault(key, _row(plan, stage))
    places = list(dict.fromkeys(key[:2] for key in found))
    return [found[key] for key in sorted(found, key=lambda key: places.index(key[:2]))]


def _size(plan: dict[str, Any]) -> str:
    return plan["config"].partition(":")[2]


def _reads(stage: dict[str, Any]) -> str:
    return "clips" if stage["frames"] > 1 else "pictures"


def _row(plan: dict[str, Any], stage: dict[str, Any]) -> str:
    held = sum(stage["held"].values()) + stage["temporaries"]
    fits = "" if stage["fits"] else " (does not fit)"
    useful = sum(part["useful"] for part in stage["parts"].values())
    sent = sum(each["bytes"] for each in stage["links"].values())
    cells = [
        _size(plan),
        f"{stage['stage']}, {_reads(stage)}",
        plan["topology"],
        str(stage["rows"]),
        f"{held / GIB:.1f} of {stage['hbm'] / GIB:.0f}{fits}",
        f"{useful / 1e15:.3g}",
        f"{sent / GIB:.3g}",
    ]
    if at := stage["estimate"]:
        kind = "videos" if "videos" in stage["a_day"] else "pictures"
        best, apart = stage["a_day"][kind]
        hours = [hours * plan["chips"] for hours in stage["hours"]]
        cells += [
            f"{at['best']:.3g}, {at['apart']:.3g}",
            f"{at['mfu_best']:.0%}, {at['mfu_apart']:.0%}",
            f"{best / 1e6:.3g} M, {apart / 1e6:.3g} M",
            f"{hours[0]:.0f}, {hours[1]:.0f}",
        ]
    else:
        cells += ["", "", "", ""]
    return f"| {' | '.join(cells)} |"


def main(files: list[str]) -> None:
    """Replaces the table of the page."""
    table = "\n".join([HEAD, *rows([json.loads(Path(file).read_text()) for file in files])])
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


if __name__ == "__main__":
    main(sys.argv[1:])
