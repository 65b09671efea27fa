"""The commands that kasmina-loggers adds to `kasmina`, one file each."""
