"""`make ui` with a server, a browser and their processes."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from mlflow.entities import Metric, Param

from reglab.config.compose import compose
from reglab.paths import PROJECT
from reglab.schema.errors import ConfigError
from reglab.tracking.store import Store, open_store
from reglab.tracking.ui import browse, note_limits, open_writable
from tests.conftest import fresh_store
from tests.errors import config_error

STRATEGIES = ("none", "l1", "dropout+max_norm")
BARS = ("test/accuracy", "test/ece", "gap/loss", "test/balanced_accuracy")  # the last metric is in a folded section
LINES = ("val/loss", "val/accuracy", "train/loss")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# No requests beyond the tested pages; no sandbox, which containers do not allow.
BROWSER_OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)


@dataclass
class Ui:
    """A running `pipelines/ui.py`, with its link and the lines of its output."""

    process: "subprocess.Popen[str]"
    link: str
    output: list[str]

    def end(self, signum: int) -> int:
        """Send a signal to the process alone, assert that its children end too, and return the exit code."""
        while not (children := psutil.Process(self.process.pid).children(recursive=True)):
            time.sleep(0.05)
        self.process.send_signal(signum)
        code = self.process.wait(30)
        assert [p for p in children if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []
        return code


def start(uri: str, *overrides: str, until: str = "/#/") -> Ui:
    """Start `pipelines/ui.py` and wait for an output line that contains `until`."""
    process = subprocess.Popen(
        [sys.executable, str(PROJECT / "pipelines" / "ui.py"), f"tracking.uri={uri}", *overrides],
        cwd=Path(uri.removeprefix("sqlite:///")).parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    output: list[str] = []
    for line in process.stdout:
        output.append(line.strip())
        if until in line:
            return Ui(process, line.strip(), output)
    raise AssertionError("\n".join(output))


@pytest.fixture(scope="module")
def store(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Store of a parent and its children: three strategies, three seeds, five epochs."""
    store = open_store(fresh_store(empty_database, tmp_path_factory.mktemp("ui")), "reglab")
    client, experiment = store.client, store.experiment_id
    parent = client.create_run(experiment, run_name="the-parent", tags={"phase": "parent", "sweep": "s"}).info.run_id
    for i, strategy in enumerate(STRATEGIES):
        for seed in range(3):
            tags = {"strategy": strategy, "data": "digits", "model": "mlp", "seed": str(seed), "phase": "sweep"}
            run = client.create_run(experiment, tags=tags | {"mlflow.parentRunId": parent}).info.run_id
            curves = [Metric(name, 1 / (2 + epoch + i), 0, epoch) for name in LINES for epoch in range(5)]
            once = [Metric(name, 0.5 + i / 10 + seed / 100, 0, 0) for name in BARS]
            client.log_batch(run, curves + once, [Param("seed", str(seed))])
            client.set_terminated(run, "FINISHED")
    client.set_terminated(parent, "FINISHED")
    return store


@pytest.fixture(scope="module")
def ui(store: Store) -> Iterator[Ui]:
    """UI started while its port is in use, and stopped by SIGINT."""
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        ui = start(store.uri, f"ui.port={port}")
        try:
            assert f"port {port} is in use" in ui.output
            assert f":{port}/" not in ui.link
            yield ui
            assert ui.end(signal.SIGINT) == 0
        finally:
            ui.process.terminate()
    assert (
        sorted(path.name for path in Path(store.uri.removeprefix("sqlite:///")).parent.iterdir() if path.is_dir()) == []
    )


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_the_page_lists_the_strategies_and_draws_their_charts(ui: Ui) -> None:
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(BROWSER_OPTIONS))
        page = browser.new_page(viewport={"width": 1600, "height": 1600})
        page.goto(ui.link)
        for strategy in STRATEGIES:
            row = page.get_by_role("row").filter(has_text=f"Group: {strategy}")
            expect(row).to_have_count(1, timeout=60_000)
            expect(row).to_contain_text("3")  # seeds
        expect(page.get_by_role("row").filter(has_text="Group:")).to_have_count(len(STRATEGIES))
        expect(page.get_by_text("the-parent")).to_have_count(0)
        expect(page.get_by_text("9 matching runs")).to_be_visible()

        page.get_by_text("more of test").click()
        cards = page.get_by_test_id("experiment-view-compare-runs-card")
        expect(cards).to_have_count(len(BARS + LINES))
        for name in BARS + LINES:
            chart = cards.filter(has=page.get_by_text(name, exact=True)).locator(".js-plotly-plot")
            if name in BARS:
                expect(chart.locator(".bars .point path")).to_have_count(len(STRATEGIES), timeout=60_000)
            else:  # a mean line for each strategy; the range of its seeds has faint borders
                lines = chart.locator('path.js-line[style*="stroke-opacity: 1;"]')
                expect(lines).to_have_count(len(STRATEGIES), timeout=60_000)
        accuracy = cards.filter(has=page.get_by_text("test/accuracy", exact=True))
        expect(accuracy.locator(".bars .point text")).to_have_text(["0.51", "0.61", "0.71"])  # means over the seeds
        browser.close()


@pytest.mark.slow
def test_a_remote_server_is_linked_not_started(ui: Ui, capsys: pytest.CaptureFixture[str]) -> None:
    browse(ui.link.partition("/#/")[0], "reglab")
    assert capsys.readouterr().out.strip() == ui.link


@pytest.mark.slow
def test_sigterm_ends_it_while_it_starts_and_no_runs_are_reported(empty_database: Path, tmp_path: Path) -> None:
    open_store(uri := fresh_store(empty_database, tmp_path), "mine")
    ui = start(uri, "tracking.experiment=mine", until="starting MLflow's server")
    assert any("no runs in the experiment mine yet" in line and "make compare" in line for line in ui.output)
    assert ui.end(signal.SIGTERM) == 128 + signal.SIGTERM


def test_a_missing_experiment_is_reported(store: Store) -> None:
    with config_error("tracking.experiment=reglap: no such ... reglab?"):
        open_writable(store.uri, "reglap")
    assert store.client.get_experiment_by_name("reglap") is None


@pytest.mark.parametrize("port", [0, 65536, "http", True, None])
def test_a_wrong_port_is_refused(port: object, tmp_path: Path) -> None:
    from pipelines.ui import check

    cfg = compose([f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"], "ui")
    check(cfg)
    cfg.ui.port = port
    with pytest.raises(ConfigError, match=r"^ui.port=.*: .* at most 65535$"):
        check(cfg)


def test_means_over_several_strengths_are_reported(store_uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(store_uri, "mixed")
    for p in ("0.1", "0.3"):
        run = store.client.create_run(store.experiment_id, tags={"strategy": "dropout"}).info.run_id
        store.client.log_param(run, "regularizer.dropout.p", p)
    note_limits(store)
    output = capsys.readouterr().err
    assert "regularizer.dropout.p" in output
    assert "Group by" in output
    assert output.count("\n") == 1
