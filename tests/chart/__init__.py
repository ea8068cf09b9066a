"""The Helm chart: what it renders, what it refuses, what a cluster makes of it."""
