"""What the terminal and a page show of a run: a line a row, and the whole as a table."""

from __future__ import annotations

from typing import Any

HEAD = ("work", "what", "ours", "peer", "times", "floor", "of it", "cpu s")


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """The columns of HEAD, of a row as `bench.rows.row` makes it."""
    floor = number(row["floor_value"]) if row.get("floor_value") else ""
    share, ratio = row["of_floor"], row["ratio"]
    of_floor = f"{share:.0%}" if share else ""
    if "share_of_encoder" in row:
        of_floor = f"{row['share_of_encoder']:.1%} of the encoder"
    return (
        row["work"],
        row["name"],
        f"{spread(row['ours'])} {row['unit']}",
        spread(row["peer"]),
        f"{ratio:.2f}" if ratio else "",
        floor,
        of_floor,
        worked(row),
    )


def worked(row: dict[str, Any]) -> str:
    """ "0.31 / 0.42": seconds of a CPU for a call, ours and the peer's."""
    found = [row[side].get("cpu_seconds") if row[side] else None for side in ("ours", "peer")]
    return " / ".join(number(seconds) for seconds in found if seconds)


def spread(found: dict[str, Any] | None) -> str:
    """ "51.2 [50.9, 51.4]": median and quartiles; or the kind of an error."""
    if not found:
        return ""
    if "value" not in found:
        return found["error"].split(":")[0][:40] or "failed"
    low, high = (number(found[key]) for key in ("value_q1", "value_q3"))
    return f"{number(found['value'])} [{low}, {high}]"


def number(value: float) -> str:
    """Three digits that count, four of large numbers."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def line(row: dict[str, Any]) -> str:
    """A row as soon as it is there."""
    work, what, ours, peer, times, floor, of_floor, _ = cells(row)
    text = f"{work}  {what}:  {ours}"
    if peer:
        text += f", peer {peer}"
    if times:
        text += f", {times} times as fast"
    if floor:
        text += f", floor {floor}"
    if of_floor:
        text += f" ({of_floor})"
    seconds = row["ours"].get("compile_seconds") if row["ours"] else None
    return text + (f", compiled in {seconds:.1f} s" if seconds else "")


def head(table: dict[str, Any]) -> list[str]:
    """What a table was measured on, a line each."""
    ours, peer, limits = table["ours"], table["peer"], table["ceilings"]
    lines = [f"{ours['device']}; {versions(ours)}"]
    said = f"peer: {versions(peer)}" if peer else f"no peer: {table['no_peer']}"
    lines.append(said)
    if limits:
        lines.append(
            f"ceilings in this run: {limits['tflops']:.3g} TFLOP/s (product of matrices, by "
            f"{limits['of']}), {limits['gigabytes']:.3g} GB/s (copy, read and written)"
        )
    if table.get("load") is not None:
        lines.append(f"load when it began: {table['load']} processes that wanted to run")
    return lines


def versions(about: dict[str, Any]) -> str:
    """ "jax 0.12.0, flax 0.12.12"."""
    return ", ".join(f"{name} {version}" for name, version in about["versions"].items())


def markdown(table: dict[str, Any]) -> str:
    """The table for a page."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    lines += ["| " + " | ".join(cells(row)) + " |" for row in table["rows"]]
    return "\n".join(lines) + "\n"


def show(table: dict[str, Any]) -> None:
    """Prints the whole table on the terminal."""
    from rich.console import Console
    from rich.table import Table

    console, shown = Console(), Table(box=None, pad_edge=False)
    for name in HEAD:
        shown.add_column(name, overflow="fold")
    for row in table["rows"]:
        shown.add_row(*cells(row))
    console.print(shown)
