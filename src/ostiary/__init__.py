"""Accounts and authentication as a service that you run yourself."""
