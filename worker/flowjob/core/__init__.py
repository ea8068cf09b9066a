"""Pure decisions: events in, instructions out. No asyncio, sockets, clocks, disk or Arrow in this folder."""
