"""The work itself, knowing nothing of pytest and nothing of how it is measured."""
