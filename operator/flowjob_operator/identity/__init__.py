"""Certificates and keys: the installation's authority, and what the processes of each job prove themselves with."""
