"""The doctor: looks at an installation and its surroundings, and says what is wrong and how to mend it. Owns no table.

faults    every fault it knows, by name         storage   the database, its schema, work that waits in it
patient   what it looks at                      machine   files, disk, limits of this machine
choices   what was chosen in the settings       serving   a running server, as callers find it; mail server, Redis
examining all of it, whatever fails
"""
