"""What a tracked model is used for: text from a prompt."""
