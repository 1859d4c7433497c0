"""Where the project lies: reglab runs from its own checkout, where the configs are."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
CONF = PROJECT / "conf"
