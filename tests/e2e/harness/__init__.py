"""What scenarios on a real cluster are written with: a cluster, a namespace, an S3 server, the operator, a job
that verifies itself. It must not know any scenario."""
