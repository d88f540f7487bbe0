"""What administrators do with users: finding them, changing them, ending their sessions, starting resets, inviting."""
