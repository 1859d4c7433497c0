"""What a tracked model is used for: text from a prompt, figures with dropout on, a model that others serve."""
