"""Money: budgets before, costs after, and what AWS says of both."""
