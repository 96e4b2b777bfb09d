"""What tests of several rooms need: simulated data with a known truth, and stand-ins."""
