"""What a value may be: each rule has a test and the words for it."""

import math
import struct
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from reglab.data.settings import SPLIT_METHODS
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.suggest import did_you_mean
from reglab.schema.text import is_printable


class Rule(NamedTuple):
    """A test of a value, and what a value must be, in words; the options where these are names."""

    fits: Callable[[Any], bool]
    must: str
    options: tuple[str, ...] = ()

    def check(self, key: str, value: Any) -> None:
        """Raises ConfigError that names the key, the value and what it must be."""
        if not self.fits(value):
            hint = did_you_mean(str(value)[:80], self.options) if self.options else ""
            if is_finite(value) and value and as_float32(value) in (0, math.inf, -math.inf):
                hint = f" (as a float32 it is {as_float32(value):g})"
            if hint and len(self.options) > 12:
                raise ConfigError(Setting(key, value), f"not known{hint}")
            raise ConfigError(Setting(key, value), f"must be {self.must}{hint}")


_INT32 = 2**31 - 1
_LONGEST_LIST = 10_000
_MOST_PIXELS = 4096  # of a side


def is_number(value: Any) -> bool:
    """Finite or infinite, no bool, not NaN."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def is_finite(value: Any) -> bool:
    """Whether a value is a number in the range of a float."""
    return is_number(value) and abs(value) <= sys.float_info.max


def _is_whole(value: Any, low: int, high: float = math.inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_name(value: str) -> bool:
    """Whether it may be a name on the hub: ``organization/model``."""
    return value.count("/") == 1 and not value.startswith(("/", ".", "~"))


def whole(low: int, high: int | None = None) -> Rule:
    """A whole number from `low` to `high`, by default up to the largest of 32 bits."""
    words = f"a whole number of {low} or more" + (f", at most {high}" if high is not None else "")
    most = _INT32 if high is None else high
    return Rule(lambda v: _is_whole(v, low, most), words)


def number(low: float = -math.inf, high: float = math.inf) -> Rule:
    """A finite number from `low` to `high`, ends included, that is not 0 or infinite as a float32 unless it is 0.

    An open end is the next float.
    """

    def fits(value: Any) -> bool:
        if not is_finite(value) or not low <= value <= high:
            return False
        return math.isfinite(as_float32(value)) and (as_float32(value) != 0 or value == 0)

    return Rule(fits, f"a finite number{_range(low, high)}")


def strength(low: float, high: float, off: float | None, *, whole: bool = False) -> Rule:
    """A number in the range, a whole one if asked for; infinite only where that is the off value."""
    words = ["" if off == math.inf else "finite", "whole" if whole else "", "number"]
    return Rule(
        lambda v: is_number(v) and low <= v <= high and (v % 1 == 0 or not whole if is_finite(v) else v == off),
        f"a {' '.join(filter(None, words))}{_range(low, high)}",
    )


def as_float32(value: float) -> float:
    """The number as torch holds it: .99999999 is 1, 1e39 is infinite, and 1e-46 is 0."""
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def one_of(*options: str) -> Rule:
    """One of these words."""
    return Rule(lambda v: v in options, f"one of {', '.join(options)}", options)


def or_null(rule: Rule, meaning: str = "") -> Rule:
    """As the rule says, or null."""
    words = f"{rule.must}, or null" + (f" ({meaning})" if meaning else "")
    return Rule(lambda v: v is None or rule.fits(v), words, rule.options)


def list_of(rule: Rule, least: int = 0, most: int | None = None) -> Rule:
    """A list of `least` to `most` items (None: 10,000), which all follow the rule."""
    some = "a list" if not least else f"a list of {least} or more"
    ends = "" if most is None else f"; at most {most} of them"
    return Rule(
        lambda v: (
            isinstance(v, list) and len(v) >= least and len(v) <= (most or _LONGEST_LIST) and all(map(rule.fits, v))
        ),
        f"{some}, each {rule.must}{ends}",
    )


def text(longest: int = 250) -> Rule:
    """Some text on one line, of at most so many characters; what cannot be printed or stored is refused."""
    words = "text (a number in quotes, twice)"

    def fits(value: Any) -> bool:
        return isinstance(value, str) and bool(value.strip()) and len(value) <= longest and is_printable(value)

    return Rule(fits, f"{words} of at most {longest} characters, none of them a control character")


def label() -> Rule:
    """Text that names something; URIs are refused, since their passwords would be stored with the name."""
    return Rule(lambda v: text().fits(v) and "://" not in v, f"{text().must}, and not a URI, which tracking.uri takes")


def name_or_number() -> Rule:
    """What a column may be called: text, or a number, which the command line reads as such."""
    inner = text()
    return Rule(lambda v: inner.fits(v) or is_finite(v), "a name of at most 250 characters")


def mapping() -> Rule:
    """Keys with values."""
    return Rule(lambda v: isinstance(v, Mapping), "keys with values, as in {key:value}")


def _range(low: float, high: float) -> str:
    parts = []
    if low > -math.inf:
        parts.append("above 0" if low == ABOVE_0 else f"at least {low:g}")
    if high < math.inf:
        parts.append("below 1" if high == BELOW_1 else f"at most {high:g}")
    return f" {' and '.join(parts)}" if parts else ""


def apply(rules: Mapping[str, Rule], values: Mapping[str, Any]) -> None:
    """Checks each key (dotted) that is there; keys without a rule pass.

    Raises:
        ConfigError: of the first value that does not fit.
    """
    for key, rule in rules.items():
        node: Any = values
        for part in key.split("."):
            if not isinstance(node, Mapping) or part not in node:
                break
            node = node[part]
        else:
            rule.check(key, node)


def positive() -> Rule:
    """A finite number above 0."""
    return number(ABOVE_0)


# Ends of a range that is open there.
ABOVE_0 = sys.float_info.min  # not the next number: torch can be set to take those in between as 0
BELOW_1 = math.nextafter(1.0, 0.0)

SEED = whole(0, 2**63 - 1)  # what torch's generators take
WORKERS = whole(1, 1024)
DEEPEST = 1000  # layers of a network
PATH = text(4000)  # a file name that Linux takes is shorter
CLASS = Rule(
    lambda v: isinstance(v, str) and "." in v and all(part.isidentifier() for part in v.split(".")),
    "a class with its module, as in torch.optim.SGD",
)
YES_NO = Rule(lambda v: isinstance(v, bool), "true or false")
ACTIVATIONS = ("relu", "leaky_relu", "elu", "selu", "gelu", "silu", "tanh", "sigmoid")
NORMS = ("none", "batch", "layer")
_WATCHED = ("loss", "accuracy", "rmse", "perplexity", "bits_per_character")
METRICS = (
    *(f"{part}/{name}" for part in ("test", "val", "train") for name in _WATCHED),
    *(f"test/{name}" for name in ("balanced_accuracy", "ece", "r2")),
    *("gap/loss", "time/train_s", "time/step_ms", "time/epochs"),
    *("model/parameters", "model/zero_fraction", "train/penalty"),
)
_BETA = number(0.0, BELOW_1)
_FOLD = Rule(
    lambda v: is_number(v) or isinstance(v, bool) or (isinstance(v, str) and bool(v.strip())), "a number or a word"
)

TRAIN: dict[str, Rule] = {
    "seed": SEED,
    "resume": or_null(YES_NO, "on in sweeps, off for a single run"),
    "fail_fast": YES_NO,
    "workers": or_null(WORKERS, "set by the launcher"),
    "sweep.name": or_null(label()),
    "baseline": or_null(text(1000)),
    "report.dir": or_null(PATH),
    "metric": or_null(one_of(*METRICS)),
    "direction": or_null(one_of("max", "min")),
    "select_by": or_null(one_of(*METRICS)),
    "data._target_": CLASS,
    "data.seed": SEED,
    "data.split_seed": SEED,
    "data.path": or_null(PATH),
    "data.root": or_null(PATH),
    "data.cache": or_null(PATH),
    **{f"data.{key}": or_null(text()) for key in ("config", "image")},
    "data.column": text(),
    "data.target": or_null(name_or_number()),
    "data.split_column": or_null(name_or_number()),
    "data.tokenizer": Rule(
        lambda v: v in ("characters", "bpe") or (PATH.fits(v) and (Path(v).expanduser().exists() or _is_name(v))),
        "characters, bpe, the path of a tokenizer.json or of the folder that holds it, or a model's name",
        ("characters", "bpe"),
    ),
    "data.vocab_size": whole(257, 1_000_000),
    "data.context_length": whole(1),
    "data.size": or_null(
        Rule(
            lambda v: isinstance(v, list) and len(v) == 2 and all(_is_whole(s, 1, _MOST_PIXELS) for s in v),
            f"[height,width] in pixels, each at most {_MOST_PIXELS}",
        )
    ),
    "data.kind": one_of("auto", "classification", "regression"),
    "data.standardize": YES_NO,
    "data.id": or_null(whole(1)),
    "data.version": or_null(whole(1), "the active one"),
    "data.ignore": or_null(
        Rule(
            list_of(text()).fits,
            "a list of columns, as in [name,ticket] (in study.tasks, where a list is an axis, [[name,ticket]])",
        ),
        "none",
    ),
    "data.split_by": or_null(one_of(*SPLIT_METHODS), "at random"),
    "data.test_fold": or_null(_FOLD),
    "data.val_fold": or_null(_FOLD, "rows drawn from the other folds"),
    "model._target_": CLASS,
    "model.target": or_null(text()),
    "model.name": or_null(label()),  # of a network of one's own its target
    "model.hidden_sizes": list_of(whole(1), most=DEEPEST),
    "model.channels": list_of(whole(1), least=1, most=DEEPEST),
    "model.blocks": whole(1, DEEPEST),
    "model.kernel_size": Rule(lambda v: _is_whole(v, 1) and v % 2 == 1, "an odd whole number of 1 or more"),
    **{f"model.{key}": whole(1) for key in ("hidden_size", "heads", "key_value_heads", "intermediate_size")},
    "model.layers": whole(1, DEEPEST),
    **{f"model.{key}": whole(1) for key in ("width", "feed_forward_units", "patch_size")},
    "model.depths": list_of(whole(1, DEEPEST), least=1, most=DEEPEST),
    "model.stem": one_of("small", "large"),
    "model.tie_embeddings": YES_NO,
    "model.path": Rule(text(4000).fits, "a folder with a model, or a name in the Hugging Face cache"),
    "model.lora": or_null(Rule(mapping().fits, "arguments of peft's LoraConfig, as in {r:8}")),
    "model.dtype": one_of("float32", "bfloat16"),
    "model.args": or_null(Rule(mapping().fits, "arguments by name, as in {width:64}")),
    "model.rope_theta": positive(),
    "model.activation": one_of(*ACTIVATIONS),
    "model.norm": one_of(*NORMS),
    "optimizer._target_": CLASS,
    "optimizer.name": label(),
    "optimizer.lr": positive(),
    "optimizer.weight_decay": number(0.0),
    "optimizer.momentum": _BETA,
    "optimizer.nesterov": YES_NO,
    "optimizer.betas": Rule(
        lambda v: isinstance(v, list) and len(v) == 2 and all(_BETA.fits(item) for item in v),
        "two numbers, each at least 0 and below 1",
    ),
    "optimizer.eps": number(0.0),
    "scheduler._target_": CLASS,
    "scheduler.name": label(),
    "scheduler.eta_min": number(0.0),
    "tracking.experiment": label(),
    "tracking.weights": one_of("best", "both", "none"),
    "tracking.uri": or_null(text(4000)),
    **{f"tracking.{key}": or_null(text()) for key in ("parent", "phase", "sweep", "study", "rerun_of")},
}
