"""Tables: read a file, parse its cells, and encode features and target."""
