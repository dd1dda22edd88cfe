"""What a run came to, as pictures: figures from the published tables, charts, and self-contained pages."""
