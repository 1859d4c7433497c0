"""One plain search of all runs of an experiment with MLflow's client, page by page: prints how many and the seconds."""

import json
import sys
import time


def main(uri: str, experiment: str) -> None:
    """What any program that wants to see all runs has to do; imports are not part of the seconds."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    began = time.perf_counter()
    runs, token = 0, None
    while True:
        page = client.search_runs([found.experiment_id], max_results=1000, page_token=token)
        runs, token = runs + len(page), page.token
        if not token:
            break
    print(json.dumps({"runs": runs, "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main(*sys.argv[1:])
