"""The command line: one module for each noun. A command opens the same database and calls the same flows as the API.

Exit codes: 0 done; 1 refused (no such user, name taken, last superuser), or the answer is no; 2 wrong usage or
settings; 3 the surroundings are not as they must be (nothing installed there, database away or newer, port taken,
directory not writable); 4 done, but not everything could go with it; 130 interrupted.
"""
