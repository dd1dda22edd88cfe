"""What is known already and need not be read or asked again."""
