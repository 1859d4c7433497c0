"""All code that uses MLflow: stores, runs and their artifacts, queries, models, the UI."""

import os

# MLflow reads these when it is imported. The user's own values take precedence.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # a run's link is printed once, by the pipeline
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # about 12 s; by default a lost server blocks for minutes
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")  # seconds without a byte; by default a silent one blocks 120
os.environ.setdefault("PGCONNECT_TIMEOUT", "5")  # seconds; by default PostgreSQL's driver waits as long as TCP does
# Its random numbers would come from Python's global generator, which networks draw from in training.
os.environ["MLFLOW_HTTP_REQUEST_BACKOFF_JITTER"] = "0"
