"""All FlowJobs of a cluster: read by this service once the caller's rights were looked at, written with theirs."""
