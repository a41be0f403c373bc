"""The commands beside pytest's, one a file."""
