"""Reading a run from outside: a clock, the memory, the device."""
