"""One block: what it is made from, its passes, and its end."""
