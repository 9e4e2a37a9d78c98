"""How many workers there are: who says that he works, what is decided, who decides, who starts and stops them."""
