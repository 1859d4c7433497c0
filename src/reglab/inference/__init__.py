"""Uses of a tracked network: generation of text, Monte-Carlo dropout, export to MLflow."""
