"""Attacks on a running server, as tables of rows and as stories. README.md tells how to write one."""
