"""`flowjob doctor`: one look at everything that a job needs here, each finding with what to do about it."""
