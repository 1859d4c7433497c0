"""Write docs/regularizers/README.md and the tables of other pages from the declarations: make index"""

import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any

import yaml

from docs import reference
from reglab.paths import CONF, PROJECT
from reglab.schema.index import declaration
from reglab.schema.metrics import METRICS

CARDS = PROJECT / "docs" / "regularizers"
COSTS = CARDS / "costs.json"
INDEX = CARDS / "README.md"
METRICS_PAGE = PROJECT / "docs" / "metrics.md"
HEAD = """# Regularizers

```bash
make train ARGS="regularizer=[dropout,l2] regularizer.dropout.p=0.3"
```

Written by `make index` from the cards, the configs and the newest results of `make bench`.

- **cost**: time of a training step relative to `none`, on the large net of [benchmarks](../benchmarks.md)
  (784-1024-1024-2048-10, batch 256). Methods that need it are measured with sigmoids (†), with dropout layers (‡), on a
  residual net for images (*) or on a decoder (§).
- **in theory**: passes through the net, floating-point operations on whole weight matrices, random numbers for each
  activation or weight, and reads and writes of weights, at the times measured in the same run. Random numbers for the
  parts of a decoder are not counted.

| | what it does | strengths | cost | in theory |
| --- | --- | --- | ---: | ---: |
"""


def main() -> None:
    """Take the newest figures, if there are new ones, and write the pages."""
    results = sorted((PROJECT / "benchmarks" / "results").glob("*-cpu.json"))
    found = [json.loads(path.read_text()) for path in results]
    if newest := next((result for result in reversed(found) if "to_none_large" in result), None):
        lines = [f"  {json.dumps(name)}: {json.dumps(figures)}" for name, figures in sorted(costs(newest).items())]
        COSTS.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    pages = {
        INDEX: index(json.loads(COSTS.read_text())),
        METRICS_PAGE: with_metrics(METRICS_PAGE.read_text(encoding="utf-8")),
        reference.PAGE: reference.page(reference.PAGE.read_text(encoding="utf-8")),
    }
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path.relative_to(PROJECT)}\n")


def with_metrics(page: str) -> str:
    """Return the page on metrics with the table of all declared ones."""
    rows = ["| metric | better | kinds of tasks | measured |", "| --- | --- | --- | --- |"]
    for metric in METRICS.values():
        better = {"max": "higher", "min": "lower"}[metric.direction]
        measured = "in every epoch, and at the end" if metric.every_epoch else "at the end"
        rows.append(f"| `{metric.name}` | {better} | {', '.join(metric.task_kinds) or 'all'} | {measured} |")
    return reference.fill(page, "metrics", rows)


def costs(result: dict[str, dict[str, Any]]) -> dict[str, list[float | str]]:
    """By name: the ratio to `none` (the median over rounds), that in theory, and the net it was taken on."""
    found: dict[str, list[float | str]] = {}
    for net in ("decoder", "images", "dropping", "sigmoid", "large"):  # the large net wins
        for name, ratios in result.get(f"to_none_{net}", {}).items():
            theory = result[f"theory_{net}"][name]
            found[name] = [round(statistics.median(ratios), 2), round(theory, 2), net]
    return found


def index(costs: dict[str, list[float | str]]) -> str:
    """The page: a row for each card."""
    return HEAD + "".join(f"| {' | '.join(_row(card, costs))} |\n" for card in sorted(CARDS.glob("[a-z]*.md")))


def _row(card: Path, costs: dict[str, list[float | str]]) -> tuple[str, ...]:
    name = card.stem
    does = card.read_text(encoding="utf-8").split("## What it does\n")[1].split("\n## ")[0]
    first = re.split(r"(?<=[.:])\s", " ".join(does.split()), maxsplit=1)[0].rstrip(":.")
    config = yaml.safe_load((CONF / "regularizer" / f"{name}.yaml").read_text(encoding="utf-8"))
    declared = declaration(config[name]["_target_"], f"regularizer.{name}._target_").strengths
    strengths = ", ".join(f"`{key}` {strength.default:g}" for key, strength in declared.items())
    ratio, theory, net = costs.get(name, ["", "", "large"])
    cost, expected = (f"{value:.2f}" if isinstance(value, float) else "–" for value in (ratio, theory))
    return f"[{name}]({name}.md)", first, strengths or "–", cost + _MARKS[str(net)], expected


_MARKS = {"large": "", "sigmoid": "†", "dropping": "‡", "images": "*", "decoder": "§"}

if __name__ == "__main__":
    main()
