"""What operators use: the admin port, changes at run time, metrics, access log and trace."""
