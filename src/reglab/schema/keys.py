"""Keys of runs, studies and pipelines that belong to no class, each with its constraint.

Keys of a data set, model or regularizer are declared on its class, and found by `reglab.schema.index`.
"""

from reglab.schema.constraints import (
    BELOW_1,
    POSITIVE,
    SEED,
    WORKERS,
    Boolean,
    Constraint,
    Described,
    Integer,
    ListOf,
    Nullable,
    OneOf,
    Real,
    Satisfies,
    is_integer,
    is_number,
)
from reglab.schema.metrics import CHOOSING, COMPARABLE, DIRECTION, MetricName
from reglab.schema.task_kinds import TASK_OPTIONS
from reglab.schema.text_constraints import PATH, ClassPath, KeysWithValues, Label, Text

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "64-true")
MOST_THREADS = 1024  # OpenMP ends the process if it cannot start more
_BETA = Real(0.0, BELOW_1)

RUN: dict[str, Constraint] = {
    "seed": SEED,
    "resume": Nullable(Boolean(), "on in sweeps, off for a single run"),
    "fail_fast": Boolean(),
    "workers": Nullable(WORKERS, "set by the launcher"),
    "sweep.name": Nullable(Label()),
    "baseline": Nullable(Text(1000)),
    "report.dir": Nullable(PATH),
    "metric": Nullable(MetricName(*COMPARABLE)),
    "direction": Nullable(DIRECTION),
    "select_by": Nullable(MetricName(*CHOOSING)),
    **{f"task.{key}": Nullable(constraint) for key, constraint in TASK_OPTIONS.items()},
    "data._target_": ClassPath(),
    "model._target_": ClassPath(),
    "model.name": Nullable(Label()),  # null for a user's network, which is named by its target
    "optimizer._target_": ClassPath(),
    "optimizer.name": Label(),
    "optimizer.lr": POSITIVE,
    "optimizer.weight_decay": Real(0.0),
    "optimizer.momentum": _BETA,
    "optimizer.nesterov": Boolean(),
    "optimizer.betas": Described(ListOf(_BETA, 2, 2), "two numbers, each at least 0 and below 1"),
    "optimizer.eps": Real(0.0),
    "scheduler._target_": ClassPath(),
    "scheduler.name": Label(),
    "scheduler.eta_min": Real(0.0),
    "tracking.experiment": Label(),
    "tracking.weights": OneOf("best", "both", "none"),
    "tracking.uri": Nullable(Text(4000)),
    **{f"tracking.{key}": Nullable(Text()) for key in ("parent", "phase", "sweep", "study", "rerun_of")},
}
"""Keys of a run by their dotted names."""

_BATCHES = Satisfies(
    lambda v: v is None or (is_number(v) and (v >= 1 if isinstance(v, int) else 0 < v <= 1)),
    "a whole number of batches, a share above 0 and at most 1, or null (all)",
)
TRAINER: dict[str, Constraint] = {
    "accelerator": OneOf("cpu", "gpu", "cuda", "auto"),
    "max_epochs": Integer(1),
    "max_steps": Satisfies(
        lambda v: is_integer(v) and (v >= 1 or v == -1), "a whole number of 1 or more, or -1 (no limit)"
    ),
    "min_epochs": Nullable(Integer(1)),
    "min_steps": Nullable(Integer(1)),
    "check_val_every_n_epoch": Integer(1),
    "accumulate_grad_batches": Integer(1),
    "precision": OneOf(*PRECISIONS),
    "threads": Described(Integer(1, MOST_THREADS), f"a whole number from 1 to {MOST_THREADS}"),
    "progress": Boolean(),
    "limit_train_batches": _BATCHES,
    "limit_val_batches": _BATCHES,
    "limit_test_batches": _BATCHES,
    "gradient_clip_val": Nullable(POSITIVE),
    "gradient_clip_algorithm": OneOf("norm", "value"),
    "deterministic": Boolean(),
    "benchmark": Boolean(),
    "detect_anomaly": Boolean(),
    "inference_mode": Boolean(),
}
"""Keys of `trainer`. All but `threads` and `progress` are arguments of Lightning's Trainer."""

_URI = {"tracking.uri": RUN["tracking.uri"]}
_EXPERIMENT = {**_URI, "tracking.experiment": Label()}
_ANY_EXPERIMENT = {"tracking.experiment": Nullable(Label(), "any experiment")}
_RUN_ID = {
    "run_id": Satisfies(lambda v: v in (None, "") or is_number(v) or Text().accepts(v), "the id of a tracked run")
}
_TYPED_AGAIN = {  # settings of a tracked run that have to be typed again: see `reglab.config.trusted`
    "model.target": Nullable(Text()),
    "model.args": Nullable(KeysWithValues()),
    "model.path": Nullable(PATH),
    "code": Nullable(OneOf("changed"), "a run of other code is refused"),
}
_FILES = {f"data.{key}": Nullable(PATH) for key in ("path", "root", "tokenizer", "cache")}
_REGISTERED = Satisfies(
    lambda v: Text().accepts(v) and not set(v) & set("/:'\"") and v.strip(".") != "",
    "a name without / : and quotes (write a number as \"'7'\")",
)
_EXPORTED_BY = tuple(name for name in COMPARABLE if name.startswith(("test/", "val/")))

FIRST_TUNING_SEED = 1000  # confirmation seeds begin at 0 and never reach it
_SEEDS = Described(Integer(1, FIRST_TUNING_SEED), f"a whole number from 1 to {FIRST_TUNING_SEED}")
STUDY: dict[str, Constraint] = {
    "seeds": Nullable(_SEEDS, "study.seeds"),
    "workers": Nullable(WORKERS, "as many as there are cores"),
    "dry_run": Boolean(),
    "resume": Boolean(),
    "fail_fast": Boolean(),
    "report.dir": Nullable(PATH),
    **_EXPERIMENT,
    "tracking.weights": RUN["tracking.weights"],
    "study.name": Label(),
    "study.version": Integer(1),
    "study.tasks": Satisfies(lambda v: True, "a list of tasks"),  # see `reglab.study.definition`
    "study.common": Nullable(Described(KeysWithValues(), "overrides, as in {trainer:{max_epochs:30}}")),
    "study.strategies": ListOf(Satisfies(lambda v: isinstance(v, str | list) and bool(v), "a strategy"), 1),
    "study.space": Nullable(
        Described(KeysWithValues(), "ranges, as in {optimizer:{lr:{low:1e-4,high:1e-2,log:true}}}")
    ),
    "study.trials": Integer(1, 10_000),
    "study.max_seconds": Nullable(POSITIVE),
    "study.tuning_seeds": Integer(1, 1000),
    "study.seeds": _SEEDS,
    "study.sampler": Described(Text(), "the name of a sampler (see reglab.samplers)"),
    "study.search_seed": SEED,
    "study.pruning": Nullable(Described(KeysWithValues(), "as in {eta:3,rungs:3}")),
    "study.metric": MetricName(*COMPARABLE),
    "study.direction": Nullable(DIRECTION),
    "study.select_by": Nullable(MetricName(*CHOOSING)),
    "study.baseline": Text(1000),
}
"""Keys of a study."""

PIPELINES: dict[str, dict[str, Constraint]] = {
    "report": {
        "sweep": Nullable(Label()),
        "filter": Satisfies(lambda v: v in (None, "") or Text(10_000).accepts(v), "text in MLflow's filter language"),
        "metric": Nullable(Text()),
        "direction": Nullable(DIRECTION),
        "baseline": Text(1000),
        "select_by": Nullable(Text()),
        "force": Boolean(),
        "report.dir": Nullable(PATH),
        **_EXPERIMENT,
    },
    "status": {"name": Nullable(Label()), **_EXPERIMENT},
    "rerun": {**_RUN_ID, **_TYPED_AGAIN, **_FILES, **_URI, **_ANY_EXPERIMENT},
    "evaluate": {
        **_RUN_ID,
        "mc_dropout": Integer(2, 100_000),
        "seed": SEED,
        **_TYPED_AGAIN,
        **_FILES,
        **_URI,
        **_ANY_EXPERIMENT,
    },
    "export": {
        **_RUN_ID,
        "register": Nullable(_REGISTERED, "not registered"),
        "metric": Nullable(OneOf(*_EXPORTED_BY)),
        "data.name": Nullable(Label()),
        **_TYPED_AGAIN,
        **_FILES,
        **_EXPERIMENT,
    },
    "generate": {
        **_RUN_ID,
        "prompt": Satisfies(lambda v: isinstance(v, str), "text"),
        "max_new_tokens": Integer(1, 1_000_000),
        "temperature": Satisfies(
            lambda v: Real(0.0).accepts(v) and (v == 0 or 1e-3 <= v <= 1e3),
            "0 (greedy), or a number from 0.001 to 1000",
        ),
        "top_k": Nullable(Integer(1), "all"),
        "top_p": Nullable(Described(Real(1e-6, 1), "a number above 0 and at most 1"), "all"),
        "cache": Boolean(),
        "train_mode": Boolean(),
        "passes": Integer(2, 100_000),
        "threads": TRAINER["threads"],
        "generation.seed": SEED,
        **_TYPED_AGAIN,
        **_EXPERIMENT,
    },
    "ui": {"ui.port": Integer(1, 65535), "ui.open": Boolean(), **_EXPERIMENT},
    "study": STUDY,
}
"""Keys of each pipeline but train, by its name."""
