"""`ostiary user import` and `ostiary user export`: moving users in and out, in files."""
