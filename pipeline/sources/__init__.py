"""What a run's documents are: prefixes, lists, inventories and rows of tables, and which of them are wanted."""
