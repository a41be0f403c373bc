"""What every room builds on: errors, messages, safe text, files, units."""
