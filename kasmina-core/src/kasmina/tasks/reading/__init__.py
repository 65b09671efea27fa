"""How a file of the user's own becomes samples and targets."""
