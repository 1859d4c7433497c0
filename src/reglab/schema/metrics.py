"""Names of metrics: which way is better, which validation metric stands for a test metric, what may choose."""

from reglab.schema.errors import ConfigError, Setting

_UP = ("accuracy", "r2", "auc", "auroc", "f1", "precision", "recall", "score")
_DOWN = ("loss", "rmse", "mse", "mae", "ece", "error", "perplexity", "nll", "gap", "time", "seconds", "penalty", "bits")
TESTS = ("test/", "gap/")
_KINDS = {
    **dict.fromkeys(("accuracy", "balanced_accuracy", "ece"), "classification"),
    **dict.fromkeys(("rmse", "r2"), "regression"),
    **dict.fromkeys(("perplexity", "bits_per_character"), "language modeling"),
}
# Where a test metric has no validation metric of its own name, these stand in for it.
_STAND_IN = {"balanced_accuracy": "accuracy", "r2": "rmse", "ece": "loss"}


def check_choice(*, direction: str | None, select_by: str | None, force: bool | None) -> None:
    """Refuse what no runs could make right.

    Args:
        direction: of the metric.
        select_by: the metric that chooses among strengths.
        force: let a test metric choose; None where that cannot be asked for.

    Raises:
        ConfigError: a direction that is none, or a test metric that is to choose (unless `force`).
    """
    if direction not in (None, "max", "min"):
        raise ConfigError(Setting("direction", direction), "max or min")
    if select_by is not None and select_by.startswith(TESTS) and not force:
        way_out = "" if force is None else ", or say force=true"
        twin = validation_twins(select_by)[-1]
        raise ConfigError(
            Setting("select_by", select_by), "the test judges, it must not choose", f"take {twin}{way_out}"
        )


def kind_of(metric: str) -> str | None:
    """The kind of task that alone has the metric; None for those that all have."""
    return _KINDS.get(metric.rsplit("/", 1)[-1])


def guess_direction(metric: str) -> str | None:
    """`max` or `min` from the metric's name (`test/balanced_accuracy`: max), None where the name does not tell."""
    words = metric.lower().replace("/", "_").split("_")
    if any(word in _DOWN for word in words):
        return "min"
    return "max" if any(word in _UP for word in words) else None


def validation_twins(metric: str) -> tuple[str, ...]:
    """The validation metrics that may stand for a test metric: that of the best weights, then the last epoch's."""
    measured = metric.startswith(("test/", "val/", "best/val/"))
    name = metric.rsplit("/", 1)[-1] if measured else "loss"
    names = (name, _STAND_IN[name]) if name in _STAND_IN else (name,)
    # A stand-in may run the other way (r2 and rmse), so only names of one direction stand together.
    same = [n for n in names if guess_direction(n) == guess_direction(names[-1])]
    return tuple(f"{prefix}{n}" for n in same for prefix in ("best/val/", "val/"))
