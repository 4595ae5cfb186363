"""Changes of the picture in the middle of live play: as a take holds them, and as its world has them."""
