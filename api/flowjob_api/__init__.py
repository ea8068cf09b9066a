"""The REST service: one set of routers for a job of this machine and for all FlowJobs of a cluster."""
