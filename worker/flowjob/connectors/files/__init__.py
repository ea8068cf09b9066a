"""Files of CSV, JSON lines and Parquet, as sources and as sinks. The public names are in flowjob/files.py."""
