"""How `matrixgame render` makes what it makes: a film in blocks, or a whole clip at once."""
