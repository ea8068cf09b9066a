module flowjob.dev/tests/e2e/cluster/pause

go 1.24
