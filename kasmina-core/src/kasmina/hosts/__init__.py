"""Hosts that come with Kasmina: small networks to grow."""
