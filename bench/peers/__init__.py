"""The other programs that benches set beside ours, and what starts, loads and measures them."""
