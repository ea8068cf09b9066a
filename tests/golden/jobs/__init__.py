"""The golden jobs, by what they are about. Every operator, aggregate, window, trigger, source and sink is in one."""
