"""One run: its options, its phases, its folder."""
