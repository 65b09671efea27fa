"""Hosts that Kasmina brings along: small networks to grow."""
