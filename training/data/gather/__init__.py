"""`python -m training gather`: real series of public repositories, in the layout of training."""
