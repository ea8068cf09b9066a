"""One look at an object, from what woke it to what was done: the only place that changes anything in a cluster."""
