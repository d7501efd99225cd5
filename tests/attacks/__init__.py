"""Attacks on a running server. README.md beside this file tells how a row is written."""
