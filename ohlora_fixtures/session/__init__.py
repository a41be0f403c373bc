"""pytest's session: cases, fixtures, outcomes, checks before the first case."""
