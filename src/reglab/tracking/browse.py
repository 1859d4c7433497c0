"""What `make ui` does: finds the runs, makes the view that shows them, and serves it."""

import signal
import webbrowser

from reglab.stopping import Stopped, stoppable
from reglab.streams import note, write_line
from reglab.tracking import queries, view
from reglab.tracking.place import locate
from reglab.tracking.server import serve
from reglab.tracking.store import Store, open_existing


def browse(uri: str | None, experiment: str, port: int = 5000, open_browser: bool = False) -> None:
    """Prints the link of the ready-made view; for a database a server is started, which Ctrl-C ends.

    Args:
        uri: the tracking store (see `uri.resolve`).
        experiment: its experiment to show.
        port: of the server on 127.0.0.1; another one is taken where it is busy.
        open_browser: opens the link in the user's browser, too.

    Raises:
        ConfigError: the store cannot be used, or has no such experiment.
        Stopped: a signal other than Ctrl-C ended it.
        ServerEnded: the server died.
    """
    place = locate(uri)
    try:
        with stoppable():
            store = find(uri, experiment)
            queries.mark_dead_runs_killed(store)
            view.ensure(store.client, store.experiment_id)
            tell_runs(store)
        if place.uri.startswith("http"):
            _tell_link(place.uri, store, open_browser)
            return

        def ready(address: str) -> None:
            if address.rpartition(":")[2] != str(port):
                note(f"port {port} is taken")
            _tell_link(address, store, open_browser)
            note("Ctrl-C ends it; the charts get more room once the page's Assistant panel is closed")

        note("starting MLflow's server ...")
        signum = serve(place, port, ready)
        if signum != signal.SIGINT:
            raise Stopped(signum)
    except Stopped as stopped:
        if stopped.signum != signal.SIGINT:
            raise


def find(uri: str | None, experiment: str) -> Store:
    """The store with `experiment`, which must be there.

    Raises:
        ConfigError: the store cannot be used, is read-only, or does not have this experiment.
    """
    store = open_existing(uri, experiment)
    if store.read_only:
        raise store.place.error("is read-only, and MLflow's server writes to it; copy its folder, and name the copy")
    return store


def tell_runs(store: Store) -> None:
    """Says on standard error what the page will not: no runs, more than it loads, means over several strengths."""
    runs, more = view.shown(store.client, store.experiment_id)
    if not runs:
        note(f"no runs in the experiment {store.experiment} yet: make compare makes some")
    if more:
        note(
            f"more than {view.PAGE} runs: the page opens on the newest {view.PAGE}, 'Load more' below them adds others"
        )
    if mixed := view.mixed_strengths(runs):
        note(f"a strategy's means are over all its {', '.join(mixed)}: 'Group by' on the page separates them")


def _tell_link(address: str, store: Store, open_browser: bool) -> None:
    link = view.link(address, store.experiment_id)
    write_line(link)
    if open_browser:
        webbrowser.open(link)
