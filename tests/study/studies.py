"""Run studies of tiny runs through the real sweeper, tracked in a temporary store."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from reglab.config.compose import Composer
from reglab.paths import CONF
from reglab.study.arms import StudyArm, make_arms
from reglab.study.definition import Study
from reglab.study.definition import read_study as read_definition
from tests.execution.sweeps import output_overrides, run_sweeper

# Digits, one epoch of a small network: some tenths of a second per run.
TINY = [
    "study=quick",
    "study.space.optimizer.lr={low:1e-4,high:1e-2,log:true}",
    "study.name=tiny",
    "study.tasks=[{data:digits,model:mlp}]",
    "study.common={model:{hidden_sizes:[8]},trainer:{max_epochs:1},data:{train_size:100}}",
    "study.strategies=[none,dropout]",
    "study.trials=2",
    "study.tuning_seeds=1",
    "study.seeds=3",
    "workers=1",
    "tracking.weights=none",
]
STRATEGIES = [path.stem for path in (CONF / "regularizer").glob("*.yaml")]


def config(*overrides: str) -> DictConfig:
    """Compose the config of a tiny study from conf/study.yaml."""
    return Composer("study").compose([*TINY, *overrides])


def read_study(*overrides: str) -> Study:
    """Return the definition of a tiny study."""
    cfg = config(*overrides)
    return read_definition(cfg.study, cfg.seeds, STRATEGIES)


def arms_of(*overrides: str) -> tuple[Study, list[StudyArm], Composer]:
    """Return a tiny study, its arms, and the composer of their runs."""
    study, composer = read_study(*overrides), Composer()
    return study, make_arms(study, composer), composer


def run_tiny_study(folder: Path, *overrides: str) -> int:
    """Run a tiny study; see `run_sweeper`."""
    return run_sweeper([*TINY, *output_overrides(folder), *overrides], "study")


def leaderboard_rows(folder: Path, columns: Sequence[int] = tuple(range(12))) -> list[list[str]]:
    """Return the rows of the leaderboard, header first, without the columns of times."""
    lines = (folder / "report" / "leaderboard.csv").read_text().splitlines()
    return [[line.split(",")[i] for i in columns] for line in lines]
