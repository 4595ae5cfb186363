"""What every stage of training shares: its loop, optimiser, recorded steps and pictures."""
