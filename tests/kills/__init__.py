"""Programs that are killed, or told to end, at any moment: the next one goes on, and makes the same bytes.

    KILLS=200 python -m pytest -s tests/kills

makes 200 stops, half of them SIGKILL and half SIGTERM; without it there are a few. KILLS_SEED=2 takes other moments.
"""
