"""Lets tests in any folder import the helpers that stand here."""
