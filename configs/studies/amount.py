"""python -m fewvid study amount --out runs/studies/amount

How many videos are needed. 200 % is there to show that 100 % is enough.
"""

from ml_collections import ConfigDict

from fewvid.studies import recipes


def get_config(arg: str = "full") -> ConfigDict:
    """arg: `tiny`, `laptop` or `full`."""
    size = recipes.size(arg)
    shares = (0.1, 1) if arg == "tiny" else (0.01, 0.03, 0.1, 0.3, 1, 2)
    cells = [recipes.cell(size, "0 %", strategy="images", clips=0)]
    cells += [
        recipes.cell(size, f"{100 * share:g} %", clips=round(share * size.scale.clips))
        for share in shares
    ]
    if arg != "tiny":  # whether more would help if there were time for it
        cells += [
            recipes.twice_the_steps(size, cell)
            for cell in cells
            if cell.name in ("10 %", "100 %", "200 %")
        ]
        # and whether fewer clips want fewer steps, after which they are learnt by heart
        cells += [
            recipes.cell(
                size,
                f"{100 * share:g} %, a third of the steps",
                clips=round(share * size.scale.clips),
                steps=size.scale.steps // 3,
            )
            for share in shares[:3]
        ]
    return recipes.study("amount", size, cells)
