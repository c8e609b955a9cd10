"""python -m fewvid study adapter --out runs/studies/adapter

How the adapter is built and what *weighted* means, at equal cost for the decoder: K tokens a
frame. Every cell begins with a new adapter that learns on pictures first.
"""

from ml_collections import ConfigDict

from fewvid.studies import recipes


def get_config(arg: str = "full") -> ConfigDict:
    """arg: `tiny`, `laptop` or `full`."""
    size = recipes.size(arg)
    tokens, learned = {"queries": "tokens"}, {"queries": "learned", "count": size.keep}
    named: dict[str, tuple[dict, dict]] = {
        "tokens, before": (tokens, {"site": "before"}),
        "tokens, before, scale": (tokens, {"site": "before", "weighting": "scale"}),
        "tokens, before, bias": (tokens, {"site": "before", "weighting": "bias"}),
        "tokens, after": (tokens, {"site": "after"}),
        "learned, before": (learned, {"site": "before"}),
        "learned, after": (learned | {"count": 2 * size.keep}, {"site": "after"}),
        "tokens, before, encoder's response": (tokens, {"response": "encoder"}),
        "mlp": ({"queries": "mlp"}, {"response": "encoder"}),
    }
    if arg == "tiny":
        named = {name: named[name] for name in ("tokens, before", "learned, before")}
    cells = [
        recipes.cell(size, name, strategy="new_adapter", adapter=adapter, sampling=sampling)
        for name, (adapter, sampling) in named.items()
    ]
    return recipes.study("adapter", size, cells, measure=["costs"])
