"""Private parts of Hydra."""

import argparse
import copy

from hydra._internal.utils import get_args_parser
from hydra.experimental.callback import Callback
from hydra.types import HydraContext


def argument_parser() -> argparse.ArgumentParser:
    """Return Hydra's parser of the command line.

    Hydra has no public function that separates its flags from overrides, and the command line is checked before Hydra
    runs.
    """
    return get_args_parser()


def with_last_callback(context: HydraContext, callback: Callback) -> HydraContext:
    """Return a context whose callbacks at the end of a job are those of `context` and then one more.

    Hydra only reads callbacks from the config, where a user's could come after it. It calls them in reverse order at
    the end of a job.
    """
    callbacks = copy.copy(context.callbacks)
    callbacks.callbacks = [callback, *context.callbacks.callbacks]
    return HydraContext(context.config_loader, callbacks)
