"""The load on the REST service of a cluster that docs/rest.md has figures of: `python -m bench api_load`.

measuring.py puts it together: kubernetes.py is around the service, job.py beside it, service.py the service itself,
requests.py and followers.py whoever asks it. Each of the first three is a process of its own."""
