"""From a spec to Kubernetes objects as plain data: defaults, the job file, templates, and what is kept of it."""
