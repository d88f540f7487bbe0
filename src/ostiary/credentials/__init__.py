"""Ways to prove who one is, and what makes each of them good enough. Knows nothing of sessions; `login` joins them."""
