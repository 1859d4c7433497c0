"""Errors that code outside reglab catches."""

from reglab.schema.errors import ConfigError, Diverged, Setting, StoreLost

__all__ = ["ConfigError", "Diverged", "Setting", "StoreLost"]
