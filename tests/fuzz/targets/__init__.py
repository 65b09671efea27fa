"""What is fuzzed, a file each: `prepare()` imports, `corpus()` gives good inputs, `STRATEGY` makes structured ones, and
`check(data, folder)` does with an input's bytes what a user would."""
