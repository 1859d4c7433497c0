"""Whether a sweep's runs can answer what its closing report will be asked: told before the first of them trains."""

from collections.abc import Collection, Sequence

from omegaconf import DictConfig

from reglab.config.fitting import kind
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.metrics import TESTS, kind_of
from reglab.schema.suggest import did_you_mean


def check_metric(metric: str | None, configs: Sequence[DictConfig], key: str = "metric") -> None:
    """Refuse a metric that, by their configs, none of the runs will track.

    Args:
        metric: by its tracked name; None for the usual one.
        configs: of the runs.
        key: that holds the metric, for the message.

    Raises:
        ConfigError: a metric of another kind of task, or of a part that has no rows.
    """
    if metric is None:
        return
    kinds = {kind(cfg.data) for cfg in configs}
    wanted = kind_of(metric)
    if wanted and None not in kinds and wanted not in kinds:
        told = " and ".join(sorted(str(one) for one in kinds))
        raise ConfigError(
            Setting(key, metric), f"is for {wanted}, and these runs are {told}", "leave it out, or choose another"
        )
    for fraction, parts in (("test_fraction", TESTS), ("val_fraction", ("val/", "best/val/"))):
        if metric.startswith(parts) and all(cfg.data.get(fraction) == 0 for cfg in configs):
            raise ConfigError(Setting(key, metric), f"data.{fraction}=0 leaves no rows to measure it on", "raise it")


def check_baseline(baseline: str, strategies: Collection[str]) -> None:
    """Refuse a baseline that no run has; without `none` nothing is compared, which the report states.

    Args:
        baseline: a strategy, or a row of the leaderboard such as ``dropout(p=0.3)``.
        strategies: of the sweep, earlier starts included.

    Raises:
        ConfigError: names the strategies there are.
    """
    plain = {name.split("(")[0] for name in strategies}
    if baseline != "none" and baseline.split("(")[0] not in plain:
        hint = did_you_mean(baseline, plain) or f" (there are {', '.join(sorted(plain))})"
        raise ConfigError(Setting("baseline", baseline), f"no strategy of this sweep{hint}")
