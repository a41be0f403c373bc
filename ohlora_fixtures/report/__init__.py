"""What a person gets to see: the table, its files, and the progress of a running case."""
