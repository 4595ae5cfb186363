"""LoRAs: small files that change a generator's weights; their names, what they say of steps, and merging them."""
