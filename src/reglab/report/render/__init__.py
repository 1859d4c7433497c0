"""Renderings of findings: the HTML page, text for the terminal and the tracker, and CSV files."""
