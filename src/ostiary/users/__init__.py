"""Users and their names: what an e-mail address and a username are, who exists, who may see whom."""
