"""A tracked run, run again from its overrides with the same seeds: are the numbers the same to the last bit?"""

import json
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from reglab.config.identity import code, config_hash
from reglab.config.trusted import Typed
from reglab.streams import write_line
from reglab.study.differences import ABSENT, Difference, differences, table
from reglab.tracking import queries
from reglab.tracking.environment import environment
from reglab.tracking.link import run_link
from reglab.training import origin as origins
from reglab.training.describe import tags
from reglab.training.origin import Origin
from reglab.training.run import run
from reglab.training.trainer import set_threads

_SCIENCE = ("seed", "data", "model", "regularizer", "optimizer", "scheduler", "trainer")
_COUNTS = ("time/epochs",)
_PROOF = ("split_hash", "init_hash", "order_hash", "diverged_step")


def rerun(uri: str | None, run_id: str, typed: Typed | None = None, experiment: str | None = None) -> bool:
    """Repeat a run as a new run (tags `rerun_of` and `rerun_equal`), and print the differences.

    Args:
        uri: of the store that holds the run, and gets the new one.
        run_id: the run.
        typed: see `Origin`.
        experiment: the experiment of the run; None: any.

    Returns:
        whether all final metrics but times are equal to the last bit, and it ended the same way.

    Raises:
        ConfigError: it cannot be run again; nothing was trained.
        Exception: the new run failed, and the first one had not, or elsewhere.
    """
    origin = origins.find(uri, run_id, typed, experiment)
    cfg = origins.recomposed(origin, uri)
    _say(f"{origin.record.name}: run {run_id} again")
    _tell_config(origin, cfg)
    set_threads(int(cfg.trainer.threads))  # is told, too
    _tell_environment(origin, environment(cfg.trainer.accelerator) | {"code": code(cfg).modules})
    problem: Exception | None = None
    try:
        again = run(cfg, origins.as_overrides(origin)).run_id
    except Exception as error:
        if not hasattr(error, "run_id"):
            raise
        again, problem = str(error.run_id), error
    now = queries.get(origin.store, again)
    assert now is not None
    equal = _compare(origin.record, now)
    origin.store.client.set_tag(again, "rerun_equal", str(equal).lower())
    _say(f"run {again}\n{run_link(origin.store, again)}")
    if problem is not None and not equal:
        raise problem
    return equal


def figures(record: queries.Record) -> dict[str, float]:
    """Return the final metrics that a rerun must repeat: without times and later evaluations."""
    apart = ("time/", "mc_dropout/")
    return {name: value for name, value in record.metrics.items() if not name.startswith(apart) or name in _COUNTS}


def _tell_config(origin: Origin, cfg: DictConfig) -> None:
    then, now = origin.record.tags.get("config_hash"), config_hash(cfg)
    if then == now:
        _say(f"config: the same ({now})")
        return
    changed = differences(_science(origin.config), _science(OmegaConf.to_container(cfg, resolve=True)))
    changed = changed or differences(  # of files and folders the contents, of a network of one's own the code
        {**origin.about, "code": origin.code}, {**json.loads(tags(cfg)["about"]), "code": code(cfg).parts}
    )
    _say(f"config: another now (config_hash then {then}, now {now})")
    if changed:
        _say(_shown(changed))
    else:
        _say("no key differs: it is this version of reglab that computes another config_hash")


def _science(config: Any) -> dict[str, Any]:
    """The sections that enter a run's identity, without search ranges."""
    parts = {key: config.get(key) for key in _SCIENCE}
    parts["regularizer"] = {k: v for k, v in (parts["regularizer"] or {}).items() if not k.startswith("_")}
    return parts


def _tell_environment(origin: Origin, here: Mapping[str, Any]) -> None:
    changed = differences(origin.environment, here)
    if changed:
        _say("packages, machine or code: others now")
        _say(_shown(changed))
    else:
        _say("packages, machine and commit: the same")
    dirty = [when for when, told in (("then", origin.environment), ("now", here)) if told.get("git_dirty")]
    if dirty:
        _say(f"the code has changes that are in no commit ({' and '.join(dirty)})")


def _compare(then: queries.Record, now: queries.Record) -> bool:
    """Print differing results; return whether there are none."""
    before, after = figures(then), figures(now)
    changed = differences(before, after)
    ended = [d for d in _endings(then, now) if d.then != d.now]
    if ended:
        _say(_shown(ended))
    if changed:
        rows = [(d.key, _number(d.then), _number(d.now), _gap(d)) for d in changed]
        _say(table(("metric", "then", "now", "difference"), rows))
        _say(f"{len(changed)} of {len(before.keys() | after.keys())} metrics differ (times are not compared)")
    elif not ended and not after:
        _say(f"it ended as before ({now.tags.get('error', now.status)}), and there are no metrics to compare")
    elif not ended:
        _say(f"all {len(after)} metrics are equal to the last bit (times are not compared)")
    return not changed and not any(d.key in ("status", "error", "diverged_step") for d in ended)


def _endings(then: queries.Record, now: queries.Record) -> list[Difference]:
    tags = [Difference(tag, then.tags.get(tag, ABSENT), now.tags.get(tag, ABSENT)) for tag in ("error", *_PROOF)]
    return [Difference("status", then.status, now.status), *tags]


def _shown(changed: list[Difference]) -> str:
    return table(("", "then", "now"), [(d.key, str(d.then), str(d.now)) for d in changed])


def _number(value: object) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def _gap(difference: Difference) -> str:
    both = (difference.then, difference.now)
    return f"{both[1] - both[0]:+.3g}" if all(isinstance(value, float) for value in both) else ABSENT


def _say(text: str) -> None:
    write_line(text)
