"""Export of tracked networks as MLflow models: predictions, files and loading without reglab."""

import copy
import json
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import mlflow.pytorch
import numpy as np
import pytest
import torch
from mlflow.models import get_model_info
from omegaconf import DictConfig, OmegaConf
from sklearn.datasets import load_diabetes
from torch import nn
from torch.export import ExportedProgram

from reglab.config.compose import compose
from reglab.config.trusted import Typed
from reglab.inference.export import export
from reglab.inference.graph import Predictor, trace
from reglab.inference.loading import finished_run, rebuild
from reglab.paths import PROJECT
from reglab.schema.errors import ConfigError, Diverged, Setting
from reglab.tracking import mlflow_models, parent, queries
from reglab.tracking.store import Store, open_store
from reglab.training import build
from reglab.training.run import run
from tests.conftest import fresh_store
from tests.errors import config_error
from tests.inference.contents import members, pickles, traces
from tests.inference.serving import environment_without_reglab, model_server, output_of, printed_program
from tests.processes import Process

RUNS = {
    "mlp": ["data=digits", "model.hidden_sizes=[16]", "regularizer=dropout"],
    "cnn": ["data=digits", "model=cnn", "model.channels=[4]", "model.norm=batch", "regularizer=spatial_dropout"],
    "amounts": ["data=diabetes", "model.hidden_sizes=[16]", "regularizer=[dropout,l2]"],
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Store:
    return open_store(fresh_store(empty_database, tmp_path_factory.mktemp("exported")), "reglab")


@pytest.fixture(autouse=True)
def point_mlflow_to(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the tracking URI for functions of MLflow, as the printed command does."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)


@pytest.fixture(scope="module")
def exported(store: Store) -> dict[str, tuple[str, Path]]:
    """Return the run id and the model folder of each export, by name."""
    exports = {}
    for name, overrides in RUNS.items():
        run_id = train_run(store, *overrides)
        exports[name] = (run_id, folder_of(store, export(export_config(store, run_id=run_id))))
    return exports


def train_run(store: Store, *overrides: str, experiment: str = "reglab") -> str:
    line = ["trainer.max_epochs=2", "trainer.progress=false", f"tracking.uri={store.uri}", *overrides]
    line.append(f"tracking.experiment={experiment}")
    return run(compose(line), line).run_id


def export_config(store: Store, experiment: str = "reglab", **keys: Any) -> DictConfig:
    """Return the config of an export."""
    cfg = compose([f"tracking.uri={store.uri}", f"tracking.experiment={experiment}"], "export")
    for key, value in keys.items():
        OmegaConf.update(cfg, key, value)
    return cfg


def folder_of(store: Store, uri: str) -> Path:
    return Path(store.client.get_logged_model(uri.removeprefix("models:/")).artifact_location)


def rows(name: str, count: int) -> np.ndarray:
    shape = (10,) if name == "amounts" else (1, 8, 8)
    return np.random.default_rng(count).random((count, *shape), dtype=np.float32)


def expected(store: Store, run_id: str, inputs: np.ndarray) -> np.ndarray:
    """Return predictions of the rebuilt network, computed from its outputs."""
    rebuilt = rebuild(finished_run(store.uri, run_id), store.uri)
    with torch.no_grad():
        output = rebuilt.model(torch.from_numpy(inputs))
    if rebuilt.data.kind == "classification":
        return output.exp().div(output.exp().sum(1, keepdim=True)).numpy()
    return output.double().numpy() * rebuilt.data.target_scale + rebuilt.data.target_mean


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_predictions_equal_those_of_the_network_for_any_number_of_rows(
    store: Store, exported: dict[str, tuple[str, Path]], name: str
) -> None:
    run_id, folder = exported[name]
    model = mlflow.pyfunc.load_model(str(folder))
    for count in (1, 7):
        inputs = rows(name, count)
        predictions = model.predict(inputs)
        np.testing.assert_allclose(predictions, expected(store, run_id, inputs), atol=1e-6, rtol=1e-6)
        assert predictions.shape == ((count,) if name == "amounts" else (count, 10))
        with torch.no_grad():
            tensors = mlflow.pytorch.load_model(str(folder))(torch.from_numpy(inputs))
        np.testing.assert_array_equal(tensors.numpy(), predictions)


def test_predictions_of_a_regression_are_in_the_units_of_the_target(
    store: Store, exported: dict[str, tuple[str, Path]]
) -> None:
    run_id, folder = exported["amounts"]
    data = rebuild(finished_run(store.uri, run_id), store.uri).data
    columns = load_diabetes(scaled=False).data[data.parts.test]
    features = json.loads((folder / "inputs.json").read_text())
    inputs = np.stack(
        [(c - feature["mean"]) / feature["scale"] for c, feature in zip(columns.T, features, strict=True)], axis=1
    )
    assert [feature["name"] for feature in features][:3] == ["age", "sex", "bmi"]
    output = mlflow.pyfunc.load_model(str(folder)).predict(inputs.astype(np.float32))
    true = data.test.targets.double().numpy() * data.target_scale + data.target_mean
    tracked = queries.get(store, run_id)
    assert tracked is not None
    assert np.sqrt(np.mean((output - true) ** 2)) == pytest.approx(tracked.metrics["test/rmse"], rel=1e-5)
    assert 100 < true.mean() < 200


@pytest.mark.parametrize("name", RUNS)
def test_models_have_no_dropout_no_pickles_and_no_reglab(exported: dict[str, tuple[str, Path]], name: str) -> None:
    folder = exported[name][1]
    contents = members(folder)
    assert pickles(contents) == []
    assert traces(contents) == []
    assert {Path(file).suffix for file in contents if ":" not in file} <= {"", ".json", ".yaml", ".txt", ".pt2", ".py"}
    assert [file for file in contents if file.endswith(".py")] == ["graph_model.py"]
    archive = folder / "data" / "model.pt2"
    with zipfile.ZipFile(archive) as opened:
        program = opened.read("model/models/model.json").decode()
        assert opened.read("model/data/sample_inputs/model.pt") == b""
    assert "dropout" not in program
    assert not [file for file, content in contents.items() if b"reglab" in content]
    assert not [node for node in torch.export.load(archive).graph.nodes if "dropout" in str(node.target)]


def test_pickles_and_traces_are_found_in_files_and_archives(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "inner.pt")
    with zipfile.ZipFile(tmp_path / "outer.pt2", "w") as archive:
        archive.write(tmp_path / "inner.pt", "data/inner.pt")
        archive.writestr("graph.json", f'"File {PROJECT}/x.py"')
    (tmp_path / "inner.pt").unlink()
    (tmp_path / "old").write_bytes(pickle.dumps(Path("x"), protocol=0))
    contents = members(tmp_path)
    assert sorted(pickles(contents)) == ["old", "outer.pt2:data/inner.pt:inner/data.pkl"]
    assert "outer.pt2:graph.json" in [hit.partition(": ")[0] for hit in traces(contents)]


def test_signature_and_metadata_describe_inputs_and_outputs(exported: dict[str, tuple[str, Path]]) -> None:
    run_id, folder = exported["mlp"]
    info = get_model_info(str(folder))
    assert info.signature.inputs.inputs[0].shape == (-1, 1, 8, 8)
    assert info.signature.outputs.inputs[0].shape == (-1, 10)
    assert info.run_id == run_id
    assert info.metadata["classes"] == [str(digit) for digit in range(10)]
    assert info.metadata["strategy"] == "dropout"
    assert info.metadata["inputs"]["as"] == "Inputs (1, 8, 8) from 0 to 1, ten classes."
    assert 0 < info.metadata["metrics"]["best/val/accuracy"] < 1
    example = json.loads((folder / "serving_input_example.json").read_text())["inputs"]
    assert np.array(example).shape == (2, 1, 8, 8)
    amounts = get_model_info(str(exported["amounts"][1]))
    assert amounts.signature.outputs.inputs[0].shape == (-1,)
    assert amounts.metadata["answers"] == "the target in its own units"
    assert amounts.metadata["inputs"]["features"].startswith("one for each entry of inputs.json, in order: ")
    assert not (folder / "inputs.json").exists()  # images need no preparation


@pytest.mark.slow
def test_metadata_of_a_table_describe_how_to_make_the_inputs(store: Store, tmp_path: Path) -> None:
    lines = [f"{'' if row == 3 else row},{'red' if row % 3 else 'blue'},{'ny'[row % 2]}" for row in range(60)]
    (tmp_path / "own.csv").write_text("\n".join(["size,colour,label", *lines]))
    overrides = ["data=csv", f"data.path={tmp_path / 'own.csv'}", "data.target=label"]
    run_id = train_run(store, *overrides, experiment="table")
    with pytest.raises(ConfigError, match=r"only in the tracking store"):
        export(export_config(store, run_id=run_id))
    folder = folder_of(store, export(export_config(store, run_id=run_id, **{"data.path": str(tmp_path / "own.csv")})))
    metadata, entries = get_model_info(str(folder)).metadata, json.loads((folder / "inputs.json").read_text())
    assert metadata["inputs"]["as"] == "Numbers and categories of a file's columns."
    features = metadata["inputs"]["features"]
    assert "(x - mean) / scale, " in features
    assert [text for text in ("missing", "0 if scale is null", "1 if", "else 0") if text not in features] == []
    assert [set(entry) for entry in entries] == [{"name", "mean", "scale", "missing"}, *2 * [{"name", "value"}]]
    assert not re.search(r"`|\bsee\b|reglab", json.dumps(metadata))


@pytest.mark.slow
def test_the_printed_program_works_without_reglab(
    store: Store, exported: dict[str, tuple[str, Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id, _ = exported["amounts"]
    export(export_config(store, run_id=run_id))
    program = printed_program(capsys.readouterr().out)
    call = program.splitlines()[-1]
    assert '.astype("float32")' in call
    more_rows = f"import numpy as np\nrows = np.ones((3, 10))\n{call}"
    example, predicted = output_of(program + more_rows, tmp_path, environment_without_reglab(tmp_path)).splitlines()
    expected_values = expected(store, run_id, np.ones((3, 10), dtype=np.float32))
    np.testing.assert_allclose(np.fromstring(predicted.strip("[]"), sep=" "), expected_values, rtol=1e-5)
    assert len(example.strip("[]").split()) == 2


@pytest.mark.slow
def test_the_run_is_unchanged_and_has_one_model(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = train_run(store, "data=wine", "regularizer=dropout", experiment="one")

    def state() -> dict[str, Any]:
        info = store.client.get_run(run_id).to_dictionary()
        history = {name: queries.history(store.client, run_id, name) for name in info["data"]["metrics"]}
        return copy.deepcopy({"info": info["info"], "data": info["data"], "history": history})

    before = state()
    first = export(export_config(store, "one"))
    assert state() == before
    assert before["info"]["status"] == "FINISHED"
    output = capsys.readouterr()
    assert output.err == ""
    assert output.out.splitlines()[0].startswith("best by best/val/accuracy: ")
    assert f"logged the model: {first}\n" in output.out
    assert [o.model_id for o in store.client.get_run(run_id).outputs.model_outputs] == [first.removeprefix("models:/")]

    assert export(export_config(store, "one", register="wines")) == "models:/wines/1"
    assert f"the model was already logged: {first}\nregistered: wines, version 1\n" in capsys.readouterr().out
    assert export(export_config(store, "one", register="wines")) == "models:/wines/1"  # no second version
    other = train_run(store, "data=wine", "regularizer=dropout", "seed=1", experiment="one")
    assert export(export_config(store, run_id=other, register="wines")) == "models:/wines/2"
    version = store.client.get_model_version("wines", "2")
    assert (version.run_id, version.status) == (other, "READY")
    assert state() == before

    (folder_of(store, first) / "data" / "model.pt2").write_bytes(b"torn")
    again = export(export_config(store, "one", run_id=run_id))
    assert again != first
    output = capsys.readouterr()
    assert f"{first} of run {run_id} is not complete" in output.err
    assert "data/model.pt2" in output.err
    assert f"logged the model: {again}\n" in output.out
    (folder_of(store, first) / "data" / "model.pt2").unlink()
    assert export(export_config(store, "one", run_id=run_id)) == again
    assert f"the model was already logged: {again}\n" in capsys.readouterr().out


@pytest.mark.slow
def test_concurrent_exports_create_one_model(store: Store, tmp_path: Path) -> None:
    run_id = train_run(store, "data=wine", experiment="twice")
    arguments = [f"run_id={run_id}", f"tracking.uri={store.uri}", "register=twice"]
    processes = [Process(PROJECT / "pipelines" / "export.py", *arguments, cwd=tmp_path) for _ in range(2)]
    output = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    experiment = open_store(store.uri, "twice").experiment_id
    (model,) = store.client.search_logged_models([experiment])
    assert sorted(("was already logged" in text) for text in output) == [False, True]
    assert all(f"models:/{model.model_id}\n" in text for text in output)
    assert len(store.client.search_model_versions("name = 'twice'")) == 1


@pytest.mark.slow
def test_the_best_run_by_validation_is_exported(store: Store) -> None:
    ids = [train_run(store, "data=wine", f"optimizer.lr={lr}", experiment="rates") for lr in (1e-5, 1e-2)]
    uri = export(export_config(store, "rates"))
    assert store.client.get_logged_model(uri.removeprefix("models:/")).source_run_id == ids[1]
    train_run(store, "data=diabetes", experiment="rates")
    with config_error("run_id=null: diabetes, wine ... data.name="):
        export(export_config(store, "rates"))
    assert export(export_config(store, "rates", **{"data.name": "wine", "metric": "test/loss"})) == uri
    with config_error("data.name=wein: did you mean wine?"):
        export(export_config(store, "rates", **{"data.name": "wein"}))
    with config_error("run_id=null: best/val/rmse ... test/rmse"):
        export(export_config(store, "rates", **{"data.name": "wine", "metric": "test/rmse"}))


@pytest.mark.slow
def test_runs_without_a_trained_model_are_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match=r"^run_id=none: no such run in sqlite"):
        export(export_config(store, run_id="none"))
    declared = parent.open_parent(store, "sweep", [{"config_hash": "a", "setting": "s"}])
    with pytest.raises(ConfigError, match=rf"^run_id={declared}: is the parent "):
        export(export_config(store, run_id=declared))
    with pytest.raises(Diverged):
        train_run(store, "data=wine", "optimizer=sgd", "optimizer.lr=1e30", experiment="bad")
    (failed,) = queries.runs(open_store(store.uri, "bad"))
    with config_error(f"run_id={failed.run_id}: FAILED ... no trained model"):
        export(export_config(store, run_id=failed.run_id))
    with config_error("run_id=null: bad ... no finished run"):
        export(export_config(store, "bad"))
    without_weights = train_run(store, "data=wine", "tracking.weights=none", experiment="bare")
    with pytest.raises(ConfigError, match=rf"^run_id={without_weights}: .*no weights"):
        export(export_config(store, "bare"))
    assert not store.client.search_logged_models(
        [open_store(store.uri, name).experiment_id for name in ("bad", "bare")]
    )


def test_a_model_that_cannot_be_logged_is_removed(store: Store, tmp_path: Path) -> None:
    run_id = train_run(store, "data=wine", experiment="halves")
    record, halves = queries.get(store, run_id), open_store(store.uri, "halves")
    assert record is not None
    with pytest.raises(Exception, match="MLmodel"):
        mlflow_models.log(halves, record, tmp_path, {})
    assert not halves.client.search_logged_models([halves.experiment_id])


def test_a_program_that_needs_a_pickle_is_refused(tmp_path: Path) -> None:
    inputs = torch.randn(2, 3)
    program = torch.export.export(nn.Linear(3, 2), (inputs,))  # with example inputs
    with pytest.raises(ValueError, match=r"pickle: sample inputs$"):
        mlflow_models.save_graph(tmp_path / "model", program, inputs.numpy(), np.zeros((2, 2), np.float32), {})


OWN = """
import torch
from torch import nn
from torch.export import ExportedProgram
from torch.nn import functional as F

class Dropping(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(13, 8), nn.Dropout(0.5), nn.AlphaDropout(0.2), nn.Linear(8, outputs))

    def forward(self, x):
        return F.dropout(self.body(x), 0.3, training=self.training)

class Always(nn.Linear):
    def __init__(self, outputs):
        super().__init__(13, outputs)

    def forward(self, x):
        return F.dropout(super().forward(x), 0.3)

class Branching(Always):
    def forward(self, x):
        return nn.Linear.forward(self, x if x.sum() > 0 else -x)
"""


@pytest.mark.slow
def test_networks_of_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own_export.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)

    def build_and_trace(name: str) -> tuple[nn.Module, ExportedProgram]:
        cfg = compose(["data=wine", "model=torch", f"model.target=own_export.{name}"])
        data = build.build_data(cfg)
        model = Predictor(build.build_model(cfg, data), build.build_task(cfg, data)).eval()
        return model, trace(model, data.train.inputs[:2], Setting("run_id", "x"))

    model, traced = build_and_trace("Dropping")
    inputs = torch.randn(5, 13)
    torch.testing.assert_close(traced.module()(inputs), model(inputs))
    assert not [node for node in traced.graph.nodes if "dropout" in str(node.target)]
    with config_error("run_id=x: dropout ... evaluation mode"):
        build_and_trace("Always")
    with config_error("run_id=x: torch.export cannot trace ... forward"):
        build_and_trace("Branching")
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_code_of_users_is_not_in_the_model_and_must_not_change(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "own_changed.py"
    code.write_text(OWN)
    monkeypatch.chdir(tmp_path)
    line = ["data=wine", "model=torch", "model.target=own_changed.Dropping"]
    run_id = train_run(store, *line, experiment="own")
    contents = members(
        folder_of(store, export(export_config(store, run_id=run_id, **{"model.target": "own_changed.Dropping"})))
    )
    assert pickles(contents) == []
    assert traces(contents, str(tmp_path)) == []
    assert not [file for file in contents if ".pt2:" in file and b"own_changed" in contents[file]]
    record = finished_run(store.uri, run_id, Typed({"model.target": "own_changed.Dropping"}))
    rebuild(record, store.uri)
    code.write_text(OWN + "# another")
    with config_error(f"run_id={run_id}: other code: own_changed"):
        rebuild(record, store.uri)


WITHOUT_REGLAB = """
import sys
import mlflow.pyfunc
import numpy as np
try:
    import reglab
except ImportError as error:
    assert str(error) == "not here"
for folder, inputs in zip(sys.argv[1::2], sys.argv[2::2]):
    np.save(inputs + ".out.npy", mlflow.pyfunc.load_model(folder).predict(np.load(inputs)))
assert "reglab" not in sys.modules
"""


@pytest.mark.slow
def test_models_are_loaded_and_served_without_reglab(
    store: Store, exported: dict[str, tuple[str, Path]], tmp_path: Path
) -> None:
    run_id, _ = exported["mlp"]
    uri = export(export_config(store, run_id=run_id, register="digits"))
    environment = environment_without_reglab(tmp_path)
    with model_server(uri, tmp_path, {**environment, "MLFLOW_TRACKING_URI": store.uri}) as post:
        _assert_loads(store, exported, tmp_path, environment)  # while the server starts
        for count in (1, 3):
            inputs = rows("mlp", count)
            response = post({"inputs": inputs.tolist()})
            np.testing.assert_allclose(response["predictions"], expected(store, run_id, inputs), atol=1e-6)


def _assert_loads(
    store: Store, exported: dict[str, tuple[str, Path]], folder: Path, environment: dict[str, str]
) -> None:
    arguments = []
    for name, (_, model) in exported.items():
        np.save(folder / f"{name}.npy", rows(name, 5))
        arguments += [str(model), str(folder / f"{name}.npy")]
    output_of(WITHOUT_REGLAB, folder, environment, *arguments)
    for name, (run_id, _) in exported.items():
        predictions = np.load(folder / f"{name}.npy.out.npy")
        np.testing.assert_allclose(predictions, expected(store, run_id, rows(name, 5)), atol=1e-6, rtol=1e-6)
