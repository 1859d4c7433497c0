"""Repeat a tracked run from its overrides with the same seeds, and compare the metrics to the last bit."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from reglab.config.environment_variables import recorded_variables
from reglab.config.identity import code_of_config, config_hash
from reglab.config.trusted import Typed
from reglab.streams import write_line
from reglab.tracking import queries
from reglab.tracking.environment import environment
from reglab.tracking.view import run_link
from reglab.training import original_run
from reglab.training.original_run import OriginalRun
from reglab.training.run import run
from reglab.training.run_record import tags
from reglab.training.trainer import set_threads

ABSENT = "-"
_IDENTITY_SECTIONS = ("seed", "data", "model", "task", "regularizer", "optimizer", "scheduler", "trainer")
_NOT_COMPARED = ("time/", "mc_dropout/")
_COMPARED_COUNTS = ("time/epochs",)
_PROOF_TAGS = ("split_hash", "init_hash", "order_hash", "diverged_step")
_OUTCOME = ("status", "error", "diverged_step")  # fields that must be equal in a rerun, like its metrics


class ConfigDifference(NamedTuple):
    """A dotted key and its values; `ABSENT` on a side without it."""

    key: str
    then: Any
    now: Any


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[ConfigDifference]:
    """Return the leaves of nested mappings that differ, sorted by key; 1 and 1.0 are equal.

    >>> differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}})
    [ConfigDifference(key='a.b', then=1, now=3), ConfigDifference(key='c', then=2, now='-')]
    """
    before, after = dict(_leaves(then)), dict(_leaves(now))
    keys = sorted(before.keys() | after.keys())
    pairs = (ConfigDifference(key, before.get(key, ABSENT), after.get(key, ABSENT)) for key in keys)
    return [pair for pair in pairs if pair.then != pair.now]


def rerun(uri: str | None, run_id: str, typed: Typed | None = None, experiment: str | None = None) -> bool:
    """Repeat a run as a new run (tags `rerun_of` and `rerun_equal`), and print the differences.

    Args:
        uri: URI of the store with the run, in which the new run is tracked too.
        run_id: the run.
        typed: see `OriginalRun`.
        experiment: experiment of the run; None: any.

    Returns:
        whether the outcome and all final metrics other than times are equal to the last bit.

    Raises:
        ConfigError: the run cannot be repeated; nothing was trained.
        Exception: the new run failed, and the first one did not, or failed differently.
    """
    origin = original_run.find(uri, run_id, typed, experiment)
    cfg = original_run.recomposed(origin, uri)
    write_line(f"{origin.record.name}: repeating run {run_id}")
    _print_config_differences(origin, cfg)
    set_threads(int(cfg.trainer.threads))  # the number is part of the environment
    _print_environment_differences(
        origin, environment(cfg.trainer.accelerator, recorded_variables()) | {"code": code_of_config(cfg).modules}
    )
    failure: Exception | None = None
    try:
        new_id = run(cfg, original_run.as_overrides(origin)).run_id
    except Exception as error:
        if not hasattr(error, "run_id"):
            raise
        new_id, failure = str(error.run_id), error
    new = queries.get(origin.store, new_id)
    assert new is not None
    equal = _compare(origin.record, new)
    origin.store.client.set_tag(new_id, "rerun_equal", str(equal).lower())
    write_line(f"run {new_id}\n{run_link(origin.store, new_id)}")
    if failure is not None and not equal:
        raise failure
    return equal


def compared_metrics(record: queries.Record) -> dict[str, float]:
    """Return the final metrics that a rerun must repeat: without times and later evaluations."""
    return {
        name: value
        for name, value in record.metrics.items()
        if name in _COMPARED_COUNTS or not name.startswith(_NOT_COMPARED)
    }


def _print_config_differences(origin: OriginalRun, cfg: DictConfig) -> None:
    then, now = origin.record.tags.get("config_hash"), config_hash(cfg)
    if then == now:
        write_line(f"config: the same ({now})")
        return
    current = OmegaConf.to_container(cfg, resolve=True)
    changed = differences(_identity_sections(origin.config), _identity_sections(current))
    changed = changed or differences(  # hashes of files and folders, and of code
        {**origin.about, "code": origin.code}, {**json.loads(tags(cfg)["about"]), "code": code_of_config(cfg).parts}
    )
    write_line(f"config: different (config_hash was {then}, is {now})")
    if changed:
        write_line(_differences_table(changed))
    else:
        write_line("no key differs: this version of reglab computes the config_hash in another way")


def _identity_sections(config: Any) -> dict[str, Any]:
    """Return the sections that are part of a run's identity, without search ranges."""
    sections = {key: config.get(key) for key in _IDENTITY_SECTIONS}
    sections["regularizer"] = {k: v for k, v in (sections["regularizer"] or {}).items() if not k.startswith("_")}
    return sections


def _print_environment_differences(origin: OriginalRun, current: Mapping[str, Any]) -> None:
    changed = differences(origin.environment, current)
    if changed:
        write_line("packages, machine or code: different")
        write_line(_differences_table(changed))
    else:
        write_line("packages, machine and commit: the same")
    dirty = [when for when, side in (("then", origin.environment), ("now", current)) if side.get("git_dirty")]
    if dirty:
        write_line(f"the code has uncommitted changes ({' and '.join(dirty)})")


def _compare(then: queries.Record, now: queries.Record) -> bool:
    """Print the differences in outcome, proof tags and metrics; return whether outcome and metrics are equal."""
    before, after = compared_metrics(then), compared_metrics(now)
    changed = differences(before, after)
    outcome = [pair for pair in _outcomes(then, now) if pair.then != pair.now]
    if outcome:
        write_line(_differences_table(outcome))
    if changed:
        rows = [(pair.key, _format_number(pair.then), _format_number(pair.now), _format_gap(pair)) for pair in changed]
        write_line(_text_table(("metric", "then", "now", "difference"), rows))
        write_line(f"{len(changed)} of {len(before.keys() | after.keys())} metrics differ (times are not compared)")
    elif not outcome and not after:
        write_line(f"it ended as before ({now.tags.get('error', now.status)}), and has no metrics to compare")
    elif not outcome:
        write_line(f"all {len(after)} metrics are equal to the last bit (times are not compared)")
    return not changed and not any(pair.key in _OUTCOME for pair in outcome)


def _outcomes(then: queries.Record, now: queries.Record) -> list[ConfigDifference]:
    names = ("error", *_PROOF_TAGS)
    pairs = [ConfigDifference(tag, then.tags.get(tag, ABSENT), now.tags.get(tag, ABSENT)) for tag in names]
    return [ConfigDifference("status", then.status, now.status), *pairs]


def _differences_table(changed: Sequence[ConfigDifference]) -> str:
    return _text_table(("", "then", "now"), [(pair.key, str(pair.then), str(pair.now)) for pair in changed])


def _text_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return lines with aligned columns, two blanks apart."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows))
    return "\n".join(line.rstrip() for line in lines)


def _format_number(value: object) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def _format_gap(pair: ConfigDifference) -> str:
    if isinstance(pair.then, float) and isinstance(pair.now, float):
        return f"{pair.now - pair.then:+.3g}"
    return ABSENT


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping) and node:
        for name, child in node.items():
            yield from _leaves(child, f"{key}.{name}" if key else str(name))
    else:
        yield key, node
