"""The JobManager: an asyncio shell around core/job_machine.py. It serves one job and knows no web framework."""
