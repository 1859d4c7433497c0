"""Splits of a data set into training, validation and test rows: random, or by a column of the table."""
