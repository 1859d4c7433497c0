"""Search all runs of an experiment with MLflow's client, page by page; print their number and the seconds."""

import json
import sys
import time


def main(uri: str, experiment: str) -> None:
    """Read all runs, as any program must that needs them; the seconds do not include imports."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment_info = client.get_experiment_by_name(experiment)
    assert experiment_info is not None
    began = time.perf_counter()
    runs, token = 0, None
    while True:
        page = client.search_runs([experiment_info.experiment_id], max_results=1000, page_token=token)
        runs, token = runs + len(page), page.token
        if not token:
            break
    print(json.dumps({"runs": runs, "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main(*sys.argv[1:])
