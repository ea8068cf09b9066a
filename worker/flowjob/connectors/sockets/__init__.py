"""Lines over TCP, in and out: the public names are in flowjob/sockets.py."""
