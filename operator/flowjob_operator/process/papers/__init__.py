"""Certificates: the authority in its Secret, the operator's own, and what is written for others and never read."""
