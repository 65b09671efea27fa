"""The controllers that Kasmina brings along, one a file."""
