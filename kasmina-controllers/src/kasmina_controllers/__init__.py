"""Controllers that come with Kasmina, one in each file."""
