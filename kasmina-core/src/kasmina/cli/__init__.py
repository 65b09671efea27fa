"""What is typed and shown."""
