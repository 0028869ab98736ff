"""The taxonomy: the graph of categories, and the readers of its file formats."""
