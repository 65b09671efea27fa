"""The blueprints that Kasmina brings along, one a file."""
