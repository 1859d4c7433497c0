"""Evaluation of tracked runs with Monte-Carlo dropout."""

from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.datasets import load_diabetes
from sklearn.metrics import balanced_accuracy_score, r2_score

from reglab.config.compose import compose
from reglab.inference.evaluation import evaluate, log, print_table
from reglab.schema.errors import ConfigError
from reglab.schema.metrics import metrics_of
from reglab.study.rerun import compared_metrics
from reglab.tracking import artifacts, queries
from reglab.tracking.store import Store, open_store
from reglab.training.run import run
from tests.conftest import fresh_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Store:
    return open_store(fresh_store(empty_database, tmp_path_factory.mktemp("evaluated")), "reglab")


def train_run(store: Store, *overrides: str) -> str:
    line = ["trainer.max_epochs=3", "trainer.progress=false", f"tracking.uri={store.uri}", *overrides]
    return run(compose(line), line).run_id


@pytest.mark.slow
@pytest.mark.parametrize("data", ["wine", "diabetes"])
def test_inference_equals_the_tracked_metrics_and_dropout_passes_add_uncertainty(
    store: Store, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = train_run(store, f"data={data}", "regularizer=[dropout,l2]", "regularizer.dropout.input_p=0.1")
    evaluation = evaluate(store.uri, run_id, 20, seed=0)
    plain, passes = evaluation.plain, evaluation.sampled
    tracked = queries.get(store, run_id)
    assert tracked is not None
    measured = {metric.name for metric in metrics_of(tracked.tags["task"])}
    assert {name: plain[name] for name in measured} == {name: tracked.metrics[f"test/{name}"] for name in measured}
    expected = {"entropy"} if data == "wine" else {"noise", "coverage_90", "log_likelihood"}
    assert set(plain) == measured | expected
    assert set(passes) == set(plain) | {"mutual_information" if data == "wine" else "spread"}  # undefined for one pass
    assert evaluate(store.uri, run_id, 20, seed=0).sampled == passes
    assert evaluate(store.uri, run_id, 20, seed=1).sampled != passes
    if data == "wine":
        assert 0 < passes["mutual_information"] < passes["entropy"]
        correct = [
            predicted == true
            for predicted, true in zip(evaluation.rows["predicted"], evaluation.rows["target"], strict=True)
        ]
        assert passes["accuracy"] == pytest.approx(sum(correct) / len(correct))
        recall = balanced_accuracy_score(evaluation.rows["target"], evaluation.rows["predicted"])
        assert passes["balanced_accuracy"] == pytest.approx(recall)
    else:
        assert passes["spread"] > 0
        assert passes["rmse"] == pytest.approx(plain["rmse"], rel=0.2)
        errors = np.subtract(evaluation.rows["predicted"], evaluation.rows["target"])
        assert np.sqrt(np.mean(errors**2)) == pytest.approx(passes["rmse"], rel=1e-6)
        assert passes["r2"] == pytest.approx(
            r2_score(evaluation.rows["target"], evaluation.rows["predicted"]), rel=1e-5
        )
        assert 0.7 < passes["coverage_90"] <= 1
        # With one pass, the maximum-likelihood noise is the RMSE on the validation rows.
        assert plain["noise"] == pytest.approx(tracked.metrics["best/val/rmse"], rel=1e-3)
        density = stats.norm.logpdf(plain["rmse"], scale=plain["noise"])  # at the root mean square error
        assert plain["log_likelihood"] == pytest.approx(density, rel=1e-5)
    print_table(evaluation)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["test", "inference", "20", "passes"]
    assert {line.split()[0]: line.split()[1:] for line in lines[1:-2]} == {
        name: [f"{figures[name]:.4f}" for figures in (plain, passes) if name in figures] for name in passes
    }
    assert lines[-2].endswith(f"mc_dropout.csv of run {run_id}")


def test_results_are_added_to_the_run_without_other_changes(store: Store) -> None:
    run_id = train_run(store, "data=diabetes", "regularizer=dropout")
    before = queries.get(store, run_id)
    evaluation = evaluate(store.uri, run_id, 5, seed=3)
    for _ in range(2):  # the second call replaces the first result
        log(evaluation)
    after = queries.get(store, run_id)
    assert before is not None
    assert after is not None
    assert (after.status, after.ended, after.tags) == (before.status, before.ended, before.tags)
    added = {name: value for name, value in after.metrics.items() if name.startswith("mc_dropout/")}
    assert {name: value for name, value in after.metrics.items() if name not in added} == before.metrics
    assert added == {
        f"mc_dropout/{name}": value for name, value in {**evaluation.sampled, "passes": 5, "seed": 3}.items()
    }
    assert compared_metrics(after) == compared_metrics(before)  # not compared by reruns
    table = pd.read_csv(StringIO(artifacts.of_run(store, run_id).read_text("mc_dropout.csv") or ""))
    assert list(table) == ["row", "target", "predicted", "spread", "deviation"]
    assert table.to_dict("list") == evaluation.rows
    targets = load_diabetes().target
    np.testing.assert_allclose(table.target, targets[table.row], rtol=1e-6)


def test_dropout_layers_of_a_transformer_are_sampled(store: Store) -> None:
    run_id = train_run(store, "data=wine", "model=transformer_encoder", "regularizer=attention_dropout")
    assert evaluate(store.uri, run_id, 10, seed=0).sampled["mutual_information"] > 0


@pytest.mark.slow
def test_runs_without_dropout_are_refused(store: Store) -> None:
    without_dropout = train_run(store, "data=wine", "regularizer=l2")
    with pytest.raises(ConfigError, match=rf"^run_id={without_dropout}: .*l2 has no dropout"):
        evaluate(store.uri, without_dropout, 5, seed=0)
    off = train_run(store, "data=wine", "regularizer=dropout", "regularizer.dropout.p=0")
    with pytest.raises(ConfigError, match=rf"^run_id={off}: all 5 passes are equal"):
        evaluate(store.uri, off, 5, seed=0)
    bare = train_run(store, "data=wine", "regularizer=dropout", "tracking.weights=none")
    with pytest.raises(ConfigError, match=rf"^run_id={bare}: .*no weights"):
        evaluate(store.uri, bare, 5, seed=0)
    untested = train_run(store, "data=wine", "regularizer=dropout", "data.test_fraction=0")
    with pytest.raises(ConfigError, match=rf"^run_id={untested}: has no test rows"):
        evaluate(store.uri, untested, 5, seed=0)
