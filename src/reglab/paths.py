"""Folders of the project: reglab runs from its own checkout."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
CONF = PROJECT / "conf"
