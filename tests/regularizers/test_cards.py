"""Agreement of the card of each regularizer with its config and its class."""

import json
import re
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from benchmarks.steps import LARGE
from benchmarks.theory import Prices, factor
from docs.index import costs, index
from reglab.paths import CONF, PROJECT
from reglab.regularizers.base import regularizer_classes

CARDS = PROJECT / "docs" / "regularizers"
HEADINGS = [
    "What it does",
    "Formula",
    "How to use",
    "Suggested strengths",
    "When it helps, and when not",
    "Cost",
    "Pitfalls",
    "Paper",
]
NAMES = sorted(path.stem for path in Path(CONF, "regularizer").glob("*.yaml") if path.stem != "none")


def test_every_config_has_a_card() -> None:
    assert sorted(path.stem for path in CARDS.glob("[a-z]*.md")) == NAMES


def test_the_index_equals_the_cards() -> None:
    assert (CARDS / "README.md").read_text() == index(json.loads((CARDS / "costs.json").read_text())), "make index"


def test_costs_are_medians_of_ratios_within_rounds() -> None:
    large = {"l1": [1.5, 1.1, 9.0]}
    images = {"l1": [4.0], "cutmix": [1.5]}
    theory = {"theory_large": {"l1": 1.0}, "theory_images": {"l1": 1.0, "cutmix": 1.234}}
    assert costs({"to_none_large": large, "to_none_images": images, **theory}) == {
        "l1": [1.5, 1.0, "large"],
        "cutmix": [1.5, 1.23, "images"],
    }


FREE = Prices(uniform=0.0, normal=0.0, moved=0.0)


def theory(name: str, prices: Prices = FREE) -> float:
    """Return the theoretical cost on the large net, with 100 ms for a step without a regularizer."""
    settings = OmegaConf.to_container(OmegaConf.load(CONF / "regularizer" / f"{name}.yaml"))[name]
    settings.pop("_target_")
    return factor(
        regularizer_classes()[name](**settings), LARGE.model(), torch.randn(LARGE.batch, *LARGE.shape), 100.0, prices
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_cost_in_theory_is_never_below_the_passes(name: str) -> None:
    method = regularizer_classes()[name]
    assert theory(name) >= method.passes >= 0.9
    assert (theory(name, Prices(5.0, 6.0, 0.0)) > theory(name)) == bool(method.draws)
    assert (theory(name, Prices(0.0, 0.0, 0.3)) > theory(name)) == bool(method.memory_traffic)


def test_the_cost_in_theory_by_hand() -> None:
    """The large net has matrices 1024 x 784, 1024 x 1024, 2048 x 1024 and 10 x 2048; batches have 256 rows."""
    shapes = [(784, 1024), (1024, 1024), (1024, 2048), (10, 2048)]
    weights = sum(n * m for n, m in shapes)
    units = 256 * (1024 + 1024 + 2048)
    step = 6 * 256 * weights
    assert theory("l2") == 1.0
    assert theory("sam") == 2.0
    assert (
        theory("orthogonal")
        == pytest.approx(1 + sum(4 * n * n * m for n, m in shapes) / step)
        == pytest.approx(3.53, abs=0.01)
    )
    decompositions = sum(8 * n * n * m + 20 * n**3 for n, m in shapes)
    assert theory("nuclear_norm") == pytest.approx(1 + decompositions / step) == pytest.approx(14.7, abs=0.05)
    dear = Prices(uniform=5.0, normal=6.0, moved=0.5)
    assert theory("dropout", dear) == pytest.approx(1 + units * 5.0 / 1e6 / 100)
    assert theory("l1", dear) == pytest.approx(1 + 2 * weights * 0.5 / 1e6 / 100)
    assert theory("weight_noise", dear) == pytest.approx(1 + weights * (6.0 + 4 * 0.5) / 1e6 / 100)


@pytest.mark.parametrize("name", [*NAMES, "none"])
def test_a_config_begins_with_the_command_that_runs_it(name: str) -> None:
    first = (CONF / "regularizer" / f"{name}.yaml").read_text().splitlines()[0]
    # alone, or with methods that it requires
    assert re.match(rf'# make train ARGS="regularizer=(\[([a-z0-9_]+,)*)?{name}\b', first)


@pytest.mark.parametrize("name", NAMES)
def test_card(name: str) -> None:
    lines = (CARDS / f"{name}.md").read_text().splitlines()
    config = (CONF / "regularizer" / f"{name}.yaml").read_text()
    values = OmegaConf.create(config)
    assert lines[0] == f"# {name}"
    assert [line[3:] for line in lines if line.startswith("## ")] == HEADINGS
    assert 25 <= len(lines) <= 55
    assert "    " + config.splitlines()[0].removeprefix("# ") in lines

    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    written_costs = {row[0].strip("`"): [float(cell) for cell in row[1:]] for row in rows}
    declared = regularizer_classes()[name].strengths()
    assert written_costs == {
        strength: [values[name][strength], bounds.search.low, bounds.search.high, bounds.off]
        for strength, bounds in declared.items()
    }

    text = " ".join(lines)
    logarithmic = [strength for strength, bounds in declared.items() if bounds.search.log]
    named = " and ".join(f"`{strength}`" for strength in logarithmic)
    which = named if logarithmic != [*declared] else {1: "it", 2: "both"}[len(declared)] if logarithmic else ""
    ranges = re.findall(r"Search ([^.]*) on a logarithmic scale", text)
    assert ranges == [which] * bool(logarithmic)
