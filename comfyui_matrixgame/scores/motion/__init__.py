"""How a camera moved, from frames alone: flow, a camera fitted to it, signs."""
