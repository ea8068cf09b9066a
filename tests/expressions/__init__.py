"""Tests of flowjob/expressions/."""
