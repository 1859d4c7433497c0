"""Statistics on plain numbers: paired comparisons, power, comparisons over data sets, tuning curves."""
