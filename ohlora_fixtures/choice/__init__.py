"""Which option is chosen, and why."""
