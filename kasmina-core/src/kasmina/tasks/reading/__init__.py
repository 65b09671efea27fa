"""Reading of a user's file into samples and targets."""
