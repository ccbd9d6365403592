"""What the scene holds: volumes, results with names, colours and terms, and what the views show of them."""
