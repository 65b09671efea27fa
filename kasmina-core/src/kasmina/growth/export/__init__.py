"""Export of a grown host as plain modules of torch: traced with its seeds, and folded where the algebra allows."""
