"""Sites of a host: patterns of names, the probe that looks at them, and the tensors they mean."""
