"""The programs that the benches compare with ours, and the code that starts, loads and measures them."""
