"""What a session is asked: candidates, dataset, protocol, GPU profiles, settings."""
