"""Which data go into which chart, a module a chart; each gives its figure, or None where there is nothing to show."""
