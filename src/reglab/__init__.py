"""A lab for comparing regularization strategies."""
