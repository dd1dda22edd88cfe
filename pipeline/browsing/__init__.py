"""A local web page on which people look through results and mark answers as right or wrong."""
