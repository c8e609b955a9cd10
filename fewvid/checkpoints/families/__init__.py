"""Model families of other libraries: their config as ours, and the table of their weights."""
