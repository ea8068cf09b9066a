"""Puts our CustomResourceDefinitions into a cluster, and takes nothing away from it: what the chart's hook runs."""
