"""Commands of `ostiary user` that find users and show what is theirs."""
