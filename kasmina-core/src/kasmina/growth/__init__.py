"""Growth itself: sites, seeds, their life in a host and in its optimiser. Needs no run, plugin or command line."""
