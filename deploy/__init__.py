"""The whole stack on one machine: starts the other packages as processes and keeps them alive."""
