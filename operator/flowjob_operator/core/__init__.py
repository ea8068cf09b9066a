"""The operator's decisions, pure: what was observed goes in, a status and actions come out."""
