"""Pushes of local runs under kills of client and server, and the rate of the intake."""
