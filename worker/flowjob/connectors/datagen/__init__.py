"""A source of made-up rows: values per column from a counter, at a rate. Public names are in flowjob/values.py."""
