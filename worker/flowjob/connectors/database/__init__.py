"""Tables of SQL databases as sinks, through any DB-API driver. The public names are in flowjob/database.py."""
