"""Writes docs/regularizers/README.md from the cards, the configs and the measured costs: make index"""

import json
import re
import statistics
import sys
from pathlib import Path

from omegaconf import OmegaConf

from reglab.paths import CONF, PROJECT

CARDS = PROJECT / "docs" / "regularizers"
COSTS = CARDS / "costs.json"
INDEX = CARDS / "README.md"
HEAD = """# Regularizers

Written by `make index` from the cards, the configs and the newest figures of `make bench`. The cost is that of a
training step relative to `none`, on the large net of [benchmarks](../benchmarks.md) (784-1024-1024-2048-10, batch 256),
or on a residual net for images where a method needs one (marked *).

| | what it does | strengths | cost |
| --- | --- | --- | ---: |
"""


def main() -> None:
    """Takes the newest figures, where there are new ones, and writes the index."""
    results = sorted((PROJECT / "benchmarks" / "results").glob("*-cpu.json"))
    found = [json.loads(path.read_text()) for path in results]
    if newest := next((result for result in reversed(found) if "steps_large_ms" in result), None):
        lines = [f"  {json.dumps(name)}: {json.dumps(told)}" for name, told in sorted(costs(newest).items())]
        COSTS.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    INDEX.write_text(index(json.loads(COSTS.read_text())))
    sys.stdout.write(f"{INDEX.relative_to(PROJECT)}\n")


def costs(result: dict[str, dict[str, list[float]]]) -> dict[str, list[float | str]]:
    """By name: the ratio to `none` (the median over rounds), and the net it was taken on."""
    found: dict[str, list[float | str]] = {}
    for net in ("images", "large"):  # the large net wins
        times = result.get(f"steps_{net}_ms", {})
        for name in set(times) - {"bare", "floor", "none"}:
            ratios = [own / none for own, none in zip(times[name], times["none"], strict=True)]
            found[name] = [round(statistics.median(ratios), 2), net]
    return found


def index(costs: dict[str, list[float | str]]) -> str:
    """The page: a row for each card."""
    return HEAD + "".join(f"| {' | '.join(_row(card, costs))} |\n" for card in sorted(CARDS.glob("[a-z]*.md")))


def _row(card: Path, costs: dict[str, list[float | str]]) -> tuple[str, ...]:
    name = card.stem
    does = card.read_text(encoding="utf-8").split("## What it does\n")[1].split("\n## ")[0]
    first = re.split(r"(?<=[.:])\s", " ".join(does.split()), maxsplit=1)[0].rstrip(":.")
    config = OmegaConf.load(CONF / "regularizer" / f"{name}.yaml")
    node = OmegaConf.to_container(config[name])  # type: ignore[index]
    assert isinstance(node, dict)
    strengths = ", ".join(f"`{key!s}` {value:g}" for key, value in node.items() if key != "_target_")
    ratio, net = costs.get(name, ["–", "large"])
    cost = f"{ratio:.2f}{'*' if net == 'images' else ''}" if isinstance(ratio, float) else str(ratio)
    return f"[{name}]({name}.md)", first, strengths or "–", cost


if __name__ == "__main__":
    main()
