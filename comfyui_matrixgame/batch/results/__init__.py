"""Results: written, stored, listed in the ledger, reported, exported."""
