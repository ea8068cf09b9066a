"""Object stores and what is kept in them: names, the job's log, objects that live and die with it."""
