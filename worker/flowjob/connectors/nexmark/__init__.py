"""The Nexmark auction as a source: persons, auctions and bids, generated. Public names are in flowjob/nexmark.py."""
