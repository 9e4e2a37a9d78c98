"""The live view: reads the metrics of a stack, and shows them in a terminal and on one page. It changes nothing."""
