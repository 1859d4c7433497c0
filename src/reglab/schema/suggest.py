"""Near misses: what someone probably meant to type."""

from collections.abc import Iterable
from difflib import get_close_matches

from omegaconf import OmegaConf

from reglab.paths import CONF


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word closest to `word`, or None where none is close."""
    found = get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``"; did you mean dropout?"``, or nothing where no known word is close."""
    near = nearest(word, known)
    return f"; did you mean {near}?" if near else ""


def no_such_option(key: str, value: object, known: Iterable[str]) -> str:
    """One line for a choice that does not exist: names the key, what it got, the near miss and all choices."""
    options = sorted(known)
    return f"{key}={value}: no such option{did_you_mean(str(value), options)} (choose from {', '.join(options)})"


def not_in_strategy(override: str, why: str, name: str) -> str:
    """One line for a strength whose regularizer is not chosen."""
    return f"{override}: {why}; add regularizer={name}"


def no_value(override: str, name: str) -> str:
    """One line for a value in the place of a regularizer's section."""
    file = CONF / "regularizer" / f"{name}.yaml"
    own = OmegaConf.to_container(OmegaConf.load(file)) if file.is_file() else {}
    keys = [key for key in own[name] if key != "_target_"] if isinstance(own, dict) and name in own else []
    remedy = " or ".join(f"regularizer.{name}.{key}" for key in keys) or "its keys"
    return f"{override}: is a section and no value; set {remedy}"
