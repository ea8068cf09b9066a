"""Writes what is generated of the chart: its README, the schema of its values, the rules of its roles."""
