"""What a case comes to, and the folder that keeps it."""
