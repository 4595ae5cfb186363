"""A small first-person world, a recorder for it, and the training of the model that ships with the package."""
